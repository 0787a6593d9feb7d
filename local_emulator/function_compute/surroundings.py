"""What an instance's process is started with: its environment variables, and the settings of its runtime."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.function_compute.template import Function

_MB = 1024 * 1024
_DISK_MB = 512  # the service's default of diskSize
# disableInjectCredentials of FC 3.0: None, Env, Request or All.
_NOT_IN_ENVIRONMENT = ("Env", "All")
_NOT_IN_REQUESTS = ("Request", "All")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; printing it hides the secrets. `seconds_left` returns how long the key is still valid."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)
    seconds_left: Callable[[], float] = field(default=lambda: math.inf, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class InstanceEnvironment:
    """What an instance gets besides its function: the account, its role's keys, the layers' folders, the version."""

    account_id: str
    credentials: Credentials
    layers: tuple[Path, ...]
    version: str = "LATEST"


def new_instance_id() -> str:
    """Return an id in the service's form."""
    return f"c-{uuid.uuid4().hex[:20]}"


def variables(function: Function, environment: InstanceEnvironment, instance_id: str, scratch: Path) -> dict[str, str]:
    """Return the process's environment: the template's and the service's variables, and none of this machine's.

    The template may set PATH, HOME and the like (the service's page on environment variables), but none of FC_*.
    """
    # Runtimes from Debian 11 on have FC_FUNCTION_VERSION, older runtimes FC_VER_ID.
    version = "FC_FUNCTION_VERSION" if function.runtime == "python3.12" else "FC_VER_ID"
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": str(scratch),  # without HOME, libraries would read the profiles of this machine's user
        **function.environment,
        "TMPDIR": str(scratch),  # the service gives each instance a /tmp of its own
        "FC_FUNC_CODE_PATH": str(function.code),
        "FC_FUNCTION_NAME": function.name,
        "FC_FUNCTION_HANDLER": function.handler,
        "FC_FUNCTION_MEMORY_SIZE": str(function.memory),
        "FC_REGION": function.region,
        "FC_ACCOUNT_ID": environment.account_id,
        "FC_INSTANCE_ID": instance_id,
        "FC_CUSTOM_LISTEN_PORT": "9000",
        version: environment.version,
        **_key_variables(function, environment.credentials),
    }


def settings(function: Function, environment: InstanceEnvironment) -> dict[str, Any]:
    """Return the settings for bootstrap.py; the code comes before the layers on the path, as in the service."""
    return {
        "path": [str(function.code), *map(str, environment.layers)],
        "disk_bytes": (function.props.get("diskSize") or _DISK_MB) * _MB,
        "concurrency": concurrency(function),
        "runtime": function.runtime,
        "version": environment.version,
        "region": function.region,
        "account_id": environment.account_id,
        "log": {"project": function.log_project, "store": function.log_store},
        "function": {
            "name": function.name,
            "handler": function.handler,
            "memory": function.memory,
            "timeout": function.timeout,
        },
    }


def concurrency(function: Function) -> int:
    """Return how many requests an instance takes at once."""
    return int(function.props.get("instanceConcurrency") or 1)


def request_keys(function: Function, keys: Credentials) -> dict[str, str]:
    """Return `context.credentials` of one request."""
    if function.props.get("disableInjectCredentials") in _NOT_IN_REQUESTS:
        return {"access_key_id": "", "access_key_secret": "", "security_token": ""}
    return {
        "access_key_id": keys.access_key_id,
        "access_key_secret": keys.access_key_secret,
        "security_token": keys.security_token,
    }


def _key_variables(function: Function, keys: Credentials) -> dict[str, str]:
    if not keys.access_key_id or function.props.get("disableInjectCredentials") in _NOT_IN_ENVIRONMENT:
        return {}
    return {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": keys.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": keys.access_key_secret,
        "ALIBABA_CLOUD_SECURITY_TOKEN": keys.security_token,
    }
