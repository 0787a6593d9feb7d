"""How the local cloud is installed: where the project that it deploys is, where its state goes, its command's name."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

NAME = "kafka-maxcompute"
COMMAND = NAME if Path(sys.argv[0]).name == NAME else "python -m local_emulator"
"""What its user types."""

_PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = _PACKAGE / "carried"
"""What a wheel carries of the project (setup.py); a checkout has no such folder."""
PROJECT = INSTALLED if INSTALLED.is_dir() else _PACKAGE.parent


def in_checkout() -> bool:
    """Whether the working directory is a checkout of the project, which then is the one that is deployed."""
    return Path("template.yml").is_file() and Path("functions/sink").is_dir()


def state() -> Path:
    """Where the running cloud's addresses and logs are: in the checkout, or else in one place for each user."""
    return Path(".local") if in_checkout() else away()


def away() -> Path:
    """The place for what runs outside of any checkout."""
    # The XDG Base Directory Specification, 0.8: a relative path there is invalid and left out.
    given = Path(os.environ.get("XDG_STATE_HOME") or "")
    return (given if given.is_absolute() else Path.home() / ".local/state") / NAME


def logs() -> Path:
    """Where the functions' logs are."""
    return state() / "logs"


def cache() -> Path:
    """Where what was fetched stays for the next start."""
    return state() if INSTALLED.is_dir() else PROJECT / "build"


def version() -> str:
    """The release of the project, from the one place that has it."""
    text = (PROJECT / "layers/connector/python/kafka_maxcompute/__init__.py").read_text(encoding="utf-8")
    return str(re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)[0])
