"""The names of compressions, and bodies whose compression is broken."""

from __future__ import annotations

import zlib

import lz4.frame
import pytest
import snappy
import zstandard

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.tunnel import compression

pytestmark = pytest.mark.quick

PLAIN = b"a record of some bytes, " * 1000
# As PyODPS compresses, by the packages that it uses.
BODIES = {
    "deflate": zlib.compress(PLAIN, 1),
    "zstd": zstandard.ZstdCompressor().compress(PLAIN),
    "x-lz4-frame": lz4.frame.compress(PLAIN),
    "x-odps-lz4-frame": lz4.frame.compress(PLAIN),
    "x-snappy-framed": snappy.StreamCompressor().compress(PLAIN),
}


@pytest.mark.parametrize(("name", "body"), BODIES.items())
def test_bodies_of_pyodps_own_codecs_are_read(name: str, body: bytes) -> None:
    assert compression.decompress(body, name) == PLAIN
    assert compression.decompress(body, name.upper()) == PLAIN


@pytest.mark.parametrize("name", ["", "identity", *BODIES, "gzip", "LZ4_FRAME"])
def test_what_is_written_is_read(name: str) -> None:
    assert compression.decompress(compression.compress(PLAIN, name), name) == PLAIN


@pytest.mark.parametrize(("name", "body"), BODIES.items())
def test_bodies_cut_short_or_going_on_are_malformed(name: str, body: bytes) -> None:
    for bad in (body[:-1], body[: len(body) // 2], body + b"more"):
        with pytest.raises(ServiceError) as refusal:
            compression.decompress(bad, name)
        assert refusal.value.code == "MalformedDataStream"


def test_an_unknown_compression_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ServiceError, match=r"'br'.*deflate") as refusal:
        compression.decompress(b"", "br")
    assert refusal.value.code == "NotImplemented"


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", ""),
        ("identity", ""),
        ("deflate", "deflate"),
        ("br, x-lz4-frame;q=0.5, zstd", "x-lz4-frame"),
        ("ZSTD", "ZSTD"),
    ],
)
def test_the_first_compression_that_can_be_written_is_chosen(header: str, chosen: str) -> None:
    assert compression.accepted(header) == chosen
