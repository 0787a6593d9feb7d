"""The project that is deployed: the checkout in the working directory, or what was installed with the command.

The latter is laid out as a checkout, of links, below the folder of the state: an installed package can't be written to,
and the layer of dependencies has to hold what the functions need and nothing else of the environment.
"""

from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path

from local_emulator.foundation import installation

LAYER = "layers/dependencies/requirements.txt"
PARTS = ("template.yml", "functions", "layers")


def template() -> Path:
    """The template to deploy; what it names is beside it."""
    if installation.in_checkout():
        return Path("template.yml")
    folder = installation.state() / "project"
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
    for left in dependencies.iterdir():
        # A name that begins with a dot is a link that another process is about to put in place.
        if left.is_symlink() and left.name not in wanted and not left.name.startswith("."):
            left.unlink()
    return folder / PARTS[0]


def _installed(name: str) -> dict[str, Path]:
    """What a distribution has at the top of its folder; nothing if this Python doesn't need it."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return {}
    tops = {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}}
    return {top: Path(str(found.locate_file(top))).resolve() for top in tops}


def _link(link: Path, target: Path) -> None:
    """Have a link lead to a target; another process may do the same at once, and one that runs sees no gap."""
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    scratch = link.with_name(f".{link.name}.{os.getpid()}")
    scratch.symlink_to(target)
    scratch.replace(link)
