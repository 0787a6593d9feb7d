"""Publishes the layers' archives as versions in Function Compute, unless the version that has the content is there.

The calls are those of FC 3.0's API (2023-03-30). Serverless Devs has a command for it, `s cli fc3 layer publish`, but
that command uploads and publishes the same content again each time.
"""

from __future__ import annotations

import base64
import sys
from array import array
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.control.operation import Operation, Product

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kafka_maxcompute.control.control_plane import ControlPlane

FUNCTION_COMPUTE = Product("2023-03-30", "fcv3.{region}.aliyuncs.com", "path")
_PATH = "/2023-03-30/layers/{layer}/versions"
_VERSIONS = "acs:fc:{region}:{account}:layers/{layer}/versions/*"
LIST_VERSIONS = Operation(FUNCTION_COMPUTE, "ListLayerVersions", "fc:ListLayerVersions", _VERSIONS, "GET", _PATH)
CREATE_VERSION = Operation(FUNCTION_COMPUTE, "CreateLayerVersion", "fc:CreateLayerVersion", _VERSIONS, "POST", _PATH)
_PAGE = 100

# CRC-64/ECMA-182 as Function Compute and OSS use it ("CRC-64/XZ"): reflected, all bits inverted before and after.
_POLYNOMIAL = 0xC96C5795D7870F42
_ALL = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class Published:
    """A version of a layer; `was_there` if it has the archive's content already."""

    version: int
    was_there: bool


def publish(control: ControlPlane, layer: str, archive: Path, *, runtime: str, description: str) -> Published:
    """Return the newest version with an archive's content for a runtime; publish one if there is none.

    Raises the errors of `ControlPlane.call`.
    """
    content = archive.read_bytes()
    wanted = checksum(content)
    known = control.knowing(layer=layer)
    same = [
        int(version["version"])
        for version in _versions(known, layer)
        if version.get("codeChecksum") == wanted and runtime in version.get("compatibleRuntime", ())
    ]
    if same:
        return Published(max(same), was_there=True)
    created = known.call(
        CREATE_VERSION,
        {"layer": layer},
        code={"zipFile": base64.b64encode(content).decode()},
        compatibleRuntime=[runtime],
        description=description,
    )
    return Published(int(created["version"]), was_there=False)


def _versions(control: ControlPlane, layer: str) -> Iterator[dict[str, Any]]:
    start: object = 1
    while start is not None:
        page = control.find(LIST_VERSIONS, {"layer": layer, "limit": _PAGE, "startVersion": start}) or {}
        yield from page.get("layers", ())
        start = page.get("nextVersion")


def checksum(content: bytes) -> str:
    """Return the CRC-64 of bytes as Function Compute shows it in codeChecksum: a decimal number."""
    crc, table = _ALL, _table()
    even = len(content) // 2 * 2
    pairs = array("H", content[:even])  # two bytes at once, because a layer has 50 MB
    if sys.byteorder == "big":
        pairs.byteswap()
    for pair in pairs:
        crc = table[(crc ^ pair) & 0xFFFF] ^ (crc >> 16)
    for byte in content[even:]:
        crc = _after_bits(crc ^ byte, 8)
    return str(crc ^ _ALL)


def _after_bits(crc: int, bits: int) -> int:
    *_, last = accumulate(repeat(0, bits), lambda value, _: value >> 1 ^ (_POLYNOMIAL if value & 1 else 0), initial=crc)
    return last


@cache
def _table() -> list[int]:
    return [_after_bits(pair, 16) for pair in range(65_536)]
