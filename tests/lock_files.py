"""The lock files: what they pin, and whether each pin's own requirements are pinned too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from packaging.markers import Marker

    Environment = dict[str, str]
    RequirementsOf = Callable[["Pin"], "list[Requirement] | None"]

LINUX = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
ARM = {**LINUX, "platform_machine": "aarch64"}
MAC = {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}
WINDOWS = {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"}
# The first release of each version and one of its last, and the platforms that the universal locks have markers for.
FIRST, LAST = ([f"3.{minor}.{patch}" for minor in range(10, 14)] for patch in (0, 30))
ENVIRONMENTS: list[dict[str, str]] = [
    {
        "implementation_name": "cpython",
        "implementation_version": release,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_version": "",
        "python_full_version": release,
        "python_version": release.rpartition(".")[0],
        **platform,
    }
    for releases, platforms in ((FIRST, (LINUX, ARM, MAC, WINDOWS)), (LAST, (LINUX,)))
    for release in releases
    for platform in platforms
]


@dataclass(frozen=True)
class Pin:
    """One line of a lock: NAME[EXTRAS]==VERSION ; MARKER, and the count of its hashes."""

    name: str
    extras: frozenset[str]
    version: Version
    marker: Marker | None
    hashes: int

    def applies(self, environment: Environment) -> bool:
        """True if pip installs it there."""
        return self.marker is None or self.marker.evaluate(environment)


def pins(lock: str) -> list[Pin]:
    """All pins of a lock's text; ValueError for a line that isn't one."""
    found = []
    for entry in re.split(r"^(?=\S)", lock, flags=re.MULTILINE):
        if not entry.strip():
            continue
        line, *hashes = re.split(r"\s*\\?\n?\s*--hash=", entry.strip())
        requirement = Requirement(line)
        version = re.fullmatch(r"==([^*,]+)", str(requirement.specifier))
        if version is None or requirement.url:
            raise ValueError(f"expected NAME==VERSION, found {line!r}")
        found.append(
            Pin(
                canonicalize_name(requirement.name),
                frozenset(requirement.extras),
                Version(version[1]),
                requirement.marker,
                sum(re.fullmatch(r"sha256:[0-9a-f]{64}", each) is not None for each in hashes),
            )
        )
    return found


def roots(source: Path) -> list[Requirement]:
    """What a requirements.in asks for, with the files that it includes."""
    found = []
    for line in source.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            found += roots(source.parent / text.removeprefix("-r "))
        elif text:
            found.append(Requirement(text))
    return found


@cache
def installed_requirements(pin: Pin) -> list[Requirement] | None:
    """What this environment's metadata says that the pinned version needs; None if that version isn't here."""
    try:
        distribution = metadata.distribution(pin.name)
    except metadata.PackageNotFoundError:
        return None
    if Version(distribution.version) != pin.version:
        return None
    return [Requirement(text) for text in distribution.requires or []]


def here() -> Environment:
    """The environment that this runs in."""
    return {name: str(value) for name, value in default_environment().items()}


def unmet(
    locked: Iterable[Pin], asked: Iterable[Requirement], environment: Environment, requirements_of: RequirementsOf
) -> list[str]:
    """What an installation of nothing but the pins lacks in an environment; one line for each fault.

    A pin whose requirements aren't known is passed over: `unknown` names those.
    """
    applying: dict[str, Pin] = {}
    faults = []
    for pin in locked:
        if not pin.applies(environment):
            continue
        if pin.name in applying:
            faults.append(f"{pin.name} is pinned twice, to {applying[pin.name].version} and {pin.version}")
        applying[pin.name] = pin
    needs = [("the requirements.in", requirement) for requirement in _that_apply(asked, environment, frozenset())]
    for pin in applying.values():
        requirements = requirements_of(pin) or []
        needs += [(pin.name, requirement) for requirement in _that_apply(requirements, environment, pin.extras)]
    for needing, requirement in needs:
        pinned = applying.get(canonicalize_name(requirement.name))
        if pinned is None:
            faults.append(f"{needing} needs {requirement}: not pinned")
        elif not requirement.specifier.contains(pinned.version, prereleases=True):
            faults.append(f"{needing} needs {requirement}: {pinned.version} is pinned")
        elif lacking := requirement.extras - pinned.extras:
            faults.append(f"{needing} needs {requirement}: pinned without the extra {', '.join(sorted(lacking))}")
    return faults


def unknown(locked: Iterable[Pin], requirements_of: RequirementsOf) -> list[str]:
    """The pins for this Python that it hasn't installed: nothing is proven about them."""
    environment = {**here(), "extra": ""}
    return [f"{pin.name}=={pin.version}" for pin in locked if pin.applies(environment) and requirements_of(pin) is None]


def _that_apply(
    requirements: Iterable[Requirement], environment: Environment, extras: frozenset[str]
) -> Iterator[Requirement]:
    for requirement in requirements:
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)):
            yield requirement
