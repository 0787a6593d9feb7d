"""The temporary keys of the function's role, looked up again for each invocation.

The service may give them with the request (python3.10 and older), in the environment, in both or, with
`disableInjectCredentials`, in neither. Those in the environment are as old as the instance and live 36 hours, so those
of the request come first. Nothing here keeps them beyond the caller.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCESS_KEY_ID = "ALIBABA_CLOUD_ACCESS_KEY_ID"
ACCESS_KEY_SECRET = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"  # noqa: S105 # the variable's name
SECURITY_TOKEN = "ALIBABA_CLOUD_SECURITY_TOKEN"  # noqa: S105 # the variable's name


class CredentialsError(Exception):
    """Neither the request nor the environment holds the keys of a role."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, with the token that makes it temporary ("" for a lasting key); printing it hides the secrets."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)


def from_invocation(context: object, environment: Mapping[str, str] = os.environ) -> Credentials:
    """The keys of this request, else those in the environment.

    `context` is the runtime's own or a `Context`. Raises `CredentialsError` where there are none.
    """
    found = in_context(context) or in_environment(environment)
    if found is None:
        raise CredentialsError(
            "expected the keys of the function's role in the context or in "
            f"{ACCESS_KEY_ID} and {ACCESS_KEY_SECRET}, found neither; give the function a role, "
            "and leave disableInjectCredentials at None (or at the one source that isn't needed)"
        )
    return found


def in_context(context: object) -> Credentials | None:
    """The keys that came with the request, or None."""
    given = getattr(context, "credentials", None)
    return _complete(
        *(getattr(given, name, None) for name in ("access_key_id", "access_key_secret", "security_token")),
    )


def in_environment(environment: Mapping[str, str]) -> Credentials | None:
    """The keys that the environment holds, or None."""
    return _complete(*(environment.get(name) for name in (ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN)))


def _complete(key_id: str | None, secret: str | None, token: str | None) -> Credentials | None:
    """A key needs both its halves; the service sends empty text for what it doesn't inject."""
    return Credentials(key_id, secret, token or "") if key_id and secret else None
