"""The environment variables that lead clients to a running local cloud: Serverless Devs, the SDKs, the template."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.endpoints import Endpoints

_REDIRECTION = Path(__file__).with_name("serverless_devs.cjs")


def variables(at: Endpoints) -> dict[str, str]:
    """Return the variables, with the keys of the account's owner."""
    return {
        # Serverless Devs (npm @serverless-devs/credential 0.0.10) takes these keys for every access alias.
        "AccountID": at.account_id,
        "AccessKeyID": at.access_id,
        "AccessKeySecret": at.access_key,
        # The component fc3: Function Compute's address, and OSS's for uploads of code.
        "FC_CLIENT_CUSTOM_ENDPOINT": at.control,
        "FC_CODE_TEMP_OSS_ENDPOINT": at.control,
        # The component has fixed addresses of RAM and Resource Manager, which this file redirects.
        "LOCAL_CLOUD": at.control,
        "NODE_OPTIONS": f'--require="{_REDIRECTION}"',  # Node.js takes a path with spaces in double quotes
        # Alibaba Cloud's SDKs; each client gets its endpoint from its program.
        "ALIBABA_CLOUD_ACCESS_KEY_ID": at.access_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": at.access_key,
        "no_proxy": "127.0.0.1",
        # The log service isn't emulated, so the template's functions log to the files of the local cloud only.
        "LOG_PROJECT": "none",
        "LOG_STORE": "",
        **at.variables,
    }


def lines(at: Endpoints) -> Iterator[str]:
    """Yield the lines of a shell script that exports the variables."""
    for name, value in variables(at).items():
        yield f"export {name}={shlex.quote(value)}"
