"""The project that is deployed: the checkout in the working directory, or the project installed with the command.

For the installed project, this module lays out links like a checkout, below the state folder: the installed package may
be read-only, and the layer of dependencies may hold only what the functions need, not the whole environment. Each
installation has its own links: a running cloud uses its own while commands of another installation run.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from importlib import metadata
from pathlib import Path

from deployment import variables
from local_emulator.foundation import installation

LAYER = "layers/dependencies/requirements.txt"
PARTS = ("template.yml", "functions", "layers")


def template() -> Path:
    """Return the path of the template to deploy; the files that the template names are beside it."""
    if installation.in_checkout():
        return Path("template.yml")
    folder = installation.state() / "projects" / _installation()
    for part in PARTS:
        _link(folder / part, installation.PROJECT / part)
    wanted = {
        name: path
        for pin in re.findall(r"^([\w.-]+)==", (installation.PROJECT / LAYER).read_text(encoding="utf-8"), re.MULTILINE)
        for name, path in _installed(pin).items()
    }
    dependencies = folder / "build/layers/dependencies/python"
    for name, path in wanted.items():
        _link(dependencies / name, path)
    for link in dependencies.iterdir():
        # A name that begins with a dot is a link that another process is about to rename.
        if link.is_symlink() and link.name not in wanted and not link.name.startswith("."):
            link.unlink()
    return folder / PARTS[0]


def environment() -> dict[str, str]:
    """Return the variables for the template: the shell's, and those of the file .env beside the template."""
    return variables.environment(template(), os.environ)


def _installation() -> str:
    """Return a name for this installation, by the paths of its project and of its Python environment."""
    paths = f"{installation.PROJECT}\n{sys.prefix}"
    return hashlib.sha256(os.fsencode(paths)).hexdigest()[:16]


def _installed(name: str) -> dict[str, Path]:
    """Return the top-level names and paths of a distribution; none if this Python doesn't need the distribution."""
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return {}
    tops = {file.parts[0] for file in distribution.files or () if file.parts[0] not in {"..", "__pycache__"}}
    return {top: Path(str(distribution.locate_file(top))).resolve() for top in tops}


def _link(link: Path, target: Path) -> None:
    """Make `link` a link to `target`, atomically, because other processes may use or make the same link."""
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    scratch = link.with_name(f".{link.name}.{os.getpid()}")
    scratch.symlink_to(target)
    scratch.replace(link)
