"""Where the local cloud's files are: the project that it deploys, its state, its logs; and its command's name."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

NAME = "kafka-maxcompute"
COMMAND = NAME if Path(sys.argv[0]).name == NAME else "python -m local_emulator"
"""The command as the user types it."""

_PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = _PACKAGE / "carried"
"""The project's files in an installed wheel (setup.py puts them there); a checkout has no such folder."""
PROJECT = INSTALLED if INSTALLED.is_dir() else _PACKAGE.parent


def in_checkout() -> bool:
    """Whether the working directory is a checkout of the project; then this checkout is deployed."""
    return Path("template.yml").is_file() and Path("functions/sink").is_dir()


def state() -> Path:
    """Return the folder of the running cloud's addresses and logs: in the checkout, or the user's state folder."""
    return Path(".local") if in_checkout() else user_state()


def user_state() -> Path:
    """Return the state folder for a cloud that runs outside of a checkout."""
    # The XDG Base Directory Specification, 0.8: a relative path in the variable is invalid and ignored.
    folder = Path(os.environ.get("XDG_STATE_HOME") or "")
    return (folder if folder.is_absolute() else Path.home() / ".local/state") / NAME


def logs() -> Path:
    """Return the folder of the functions' logs."""
    return state() / "logs"


def cache() -> Path:
    """Return the folder that keeps downloads for the next start."""
    return state() if INSTALLED.is_dir() else PROJECT / "build"


def version() -> str:
    """Return the project's release, from the only file that states it."""
    text = (PROJECT / "layers/connector/python/kafka_maxcompute/__init__.py").read_text(encoding="utf-8")
    return str(re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)[0])
