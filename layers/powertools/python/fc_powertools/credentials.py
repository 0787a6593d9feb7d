"""The temporary keys of the function's role, read again for each invocation.

The service may give the keys with the request (python3.10 and older), in the environment, in both or, with
`disableInjectCredentials`, in neither. Keys in the environment are as old as the instance and valid for 36 hours, so
the keys of the request have precedence. This module doesn't store keys.
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
    """An access key, with the token of a temporary key ("" for a permanent key); its repr hides the secrets."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)


def from_invocation(context: object, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Return the keys of this request, else the keys in the environment.

    `context` is the runtime's own or a `Context`. Raises `CredentialsError` if there are none.
    """
    keys = in_context(context) or in_environment(environment)
    if keys is None:
        raise CredentialsError(
            "expected the keys of the function's role in the context or in "
            f"{ACCESS_KEY_ID} and {ACCESS_KEY_SECRET}, found neither; give the function a role, "
            "and leave disableInjectCredentials at None (or at the one source that isn't needed)"
        )
    return keys


def in_context(context: object) -> Credentials | None:
    """Return the keys that came with the request, or None."""
    given = getattr(context, "credentials", None)
    return _complete(
        *(getattr(given, name, None) for name in ("access_key_id", "access_key_secret", "security_token")),
    )


def in_environment(environment: Mapping[str, str]) -> Credentials | None:
    """Return the keys in the environment, or None."""
    return _complete(*(environment.get(name) for name in (ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN)))


def _complete(key_id: str | None, secret: str | None, token: str | None) -> Credentials | None:
    """Return the keys if id and secret are given; the service sends empty text for keys that it doesn't inject."""
    return Credentials(key_id, secret, token or "") if key_id and secret else None
