"""The errors that answer failed calls, with the called product's codes and words."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApiError(Exception):
    """An error answer of a product.

    ``status`` is the HTTP status, ``code`` and ``message`` go into the body, ``fields`` beside them.
    """

    def __init__(self, status: int, code: str, message: str, fields: Mapping[str, object] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields or {}


class Refusal(Enum):
    """A reason to refuse a call that all products share; each product has its own error code for it."""

    UNKNOWN_KEY = "the access key isn't known"
    INCOMPLETE = "a part of the signature is missing"
    WRONG_SIGNATURE = "the signature or the hash of the body is wrong"
    NONCE_USED = "the request was sent before"
    WRONG_TIME = "the request's time is too far from the service's"
    WRONG_TOKEN = "the security token isn't the access key's"  # noqa: S105 - a reason
    EXPIRED_TOKEN = "the security token has expired"  # noqa: S105 - a reason
    DENIED = "no policy allows the call, or a policy denies it"


class RefusedError(Exception):
    """A call that is refused before its action runs."""

    def __init__(self, refusal: Refusal, message: str, fields: Mapping[str, object] | None = None) -> None:
        super().__init__(f"{refusal.name}: {message}")
        self.refusal = refusal
        self.message = message
        self.fields = fields or {}


# HTTP status and code of each refusal, as answered by the API gateway in front of most products.
GATEWAY_CODES: Mapping[Refusal, tuple[int, str]] = MappingProxyType(
    {
        Refusal.UNKNOWN_KEY: (404, "InvalidAccessKeyId.NotFound"),
        Refusal.INCOMPLETE: (400, "IncompleteSignature"),
        Refusal.WRONG_SIGNATURE: (400, "SignatureDoesNotMatch"),
        Refusal.NONCE_USED: (400, "SignatureNonceUsed"),
        Refusal.WRONG_TIME: (400, "InvalidTimeStamp.Expired"),
        Refusal.WRONG_TOKEN: (400, "InvalidSecurityToken.MismatchWithAccessKey"),
        Refusal.EXPIRED_TOKEN: (400, "InvalidSecurityToken.Expired"),
        Refusal.DENIED: (403, "NoPermission"),
    }
)


def missing(parameter: str) -> ApiError:
    """Return the gateway's error for a mandatory parameter that is absent."""
    return ApiError(400, f"Missing{parameter}", f"{parameter} is mandatory for this action.")


def invalid(parameter: str, expected: str, found: object, suffix: str = "") -> ApiError:
    """Return the error for a parameter that breaks a rule; ``suffix`` ends the code, such as ``Length``."""
    code = f"InvalidParameter.{parameter}{suffix and f'.{suffix}'}"
    return ApiError(400, code, f"The parameter {parameter} is invalid: expected {expected}, found {found!r}.")


def invalid_argument(message: str) -> ApiError:
    """Return EventBridge's and Function Compute's error for an invalid argument; the services' own code isn't known."""
    return ApiError(400, "InvalidArgument", message)


class StateError(Exception):
    """The control plane's state file can't be read."""
