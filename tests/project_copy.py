"""A copy of the project as git knows it, to run its commands in without touching what a developer has running."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]


def copy_known(folder: Path) -> None:
    """Copy the files that a clone would have."""
    known = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(known, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


@pytest.fixture(scope="session")
def project_copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files that a clone would have, with the installed environment and layer linked in."""
    folder = tmp_path_factory.mktemp("project") / "clone"
    copy_known(folder)
    # Older than any stamp: `make` has nothing to install in the copy, for it would change the environment linked in.
    for lock in folder.rglob("requirements*.txt"):
        os.utime(lock, (0, 0))
    # Where this Python is from, so that the commands run with what these tests run with.
    (folder / ".venv").symlink_to(Path(sys.prefix))
    (folder / "build").symlink_to(ROOT / "build")
    yield folder
    shutil.rmtree(folder)
