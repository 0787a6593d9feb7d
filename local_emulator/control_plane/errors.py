"""What a call is answered with when it fails, in the words and codes of the product that was called."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApiError(Exception):
    """An error that a product answers with.

    ``status`` is the HTTP status, ``code`` and ``message`` go into the body, ``fields`` beside them.
    """

    def __init__(self, status: int, code: str, message: str, fields: Mapping[str, object] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields or {}


class Refusal(Enum):
    """Why a call isn't carried out, for reasons that all products share; each has codes of its own for them."""

    UNKNOWN_KEY = "the access key isn't known"
    INCOMPLETE = "what a signature needs is missing"
    WRONG_SIGNATURE = "the signature, or the hash of the body, is another"
    NONCE_USED = "the request was sent before"
    WRONG_TIME = "the request's time is too far from the service's"
    WRONG_TOKEN = "the security token isn't the access key's"  # noqa: S105 - a reason
    EXPIRED_TOKEN = "the security token has ended"  # noqa: S105 - a reason
    DENIED = "no policy allows it, or one denies it"


class RefusedError(Exception):
    """A call that is refused before its action runs."""

    def __init__(self, refusal: Refusal, message: str, fields: Mapping[str, object] | None = None) -> None:
        super().__init__(f"{refusal.name}: {message}")
        self.refusal = refusal
        self.message = message
        self.fields = fields or {}


# HTTP status and code of each, as the API gateway in front of most products answers.
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
    """A required parameter that isn't there, in the gateway's words."""
    return ApiError(400, f"Missing{parameter}", f"{parameter} is mandatory for this action.")


def invalid(parameter: str, expected: str, found: object, suffix: str = "") -> ApiError:
    """A parameter that breaks a rule; ``suffix`` of the code says which kind, such as ``Length``."""
    code = f"InvalidParameter.{parameter}{suffix and f'.{suffix}'}"
    return ApiError(400, code, f"The parameter {parameter} is invalid: expected {expected}, found {found!r}.")


class StateError(Exception):
    """The file that the state is kept in can't be read back."""
