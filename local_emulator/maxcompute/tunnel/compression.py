"""The compressions of Tunnel's bodies, by every name that its clients give them. A body is one compressed stream."""

from __future__ import annotations

import gzip
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import cramjam
import pyarrow as pa
from isal import isal_zlib

from local_emulator.maxcompute.tunnel.errors import malformed, tunnel_error

if TYPE_CHECKING:
    from collections.abc import Callable

# What one request may unfold to in memory. The service takes blocks of up to 100 GB; a laptop doesn't.
LARGEST_BODY = 2 << 30
_PIECE = 4 << 20
# isal's annotations take its error's class for an instance.
_CORRUPT = (OSError, cast("type[Exception]", isal_zlib.IsalError), cramjam.DecompressionError)
_ZLIB_BITS, _GZIP_BITS = 15, 31

_NAMES = MappingProxyType(
    {
        "": "",
        "identity": "",
        "deflate": "deflate",
        "gzip": "gzip",
        "zstd": "zstd",
        "x-lz4-frame": "lz4",
        "x-odps-lz4-frame": "lz4",
        "lz4_frame": "lz4",
        "x-snappy-framed": "snappy",
    }
)


def algorithm(name: str) -> str:
    """The algorithm that a Content-Encoding names ("" for none); ServiceError NotImplemented if it is unknown."""
    found = _NAMES.get(name.strip().lower())
    if found is None:
        known = ", ".join(filter(None, _NAMES))
        raise tunnel_error("NotImplemented", f"Content-Encoding is '{name}'; expected one of {known}.")
    return found


def accepted(header: str) -> str:
    """The first name in an Accept-Encoding header that the emulator can write, as the client spelt it; "" for none."""
    for choice in header.split(","):
        name = choice.partition(";")[0].strip()
        if _NAMES.get(name.lower()):
            return name
    return ""


def decompress(body: bytes, name: str, most: int = LARGEST_BODY) -> bytes:
    """A body's plain bytes; ServiceError MalformedDataStream or MaxMessageLengthExceeded."""
    method = algorithm(name)
    if not method:
        return body
    try:
        plain = _DECOMPRESS[method](body, most)
    except _CORRUPT as error:
        raise malformed(f"Its {name} compression can't be read: {error}.") from None
    if len(plain) > most:
        raise tunnel_error("MaxMessageLengthExceeded", f"Its {name} compression unfolds to more than {most} bytes.")
    return plain


def _inflate(bits: int) -> Callable[[bytes, int], bytes]:
    def decompress(body: bytes, most: int) -> bytes:
        stream = isal_zlib.decompressobj(bits)
        plain: bytes = stream.decompress(body, most + 1)
        if len(plain) <= most and not stream.eof:
            raise malformed(f"Its compression ends too early, after {len(body)} bytes.")
        if stream.unused_data:
            raise malformed(f"It goes on behind its compression's end: {len(stream.unused_data)} bytes more.")
        return plain

    return decompress


def _arrow(codec: str) -> Callable[[bytes, int], bytes]:
    def decompress(body: bytes, most: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
            while size <= most and (piece := stream.read(_PIECE)):
                pieces.append(piece)
                size += len(piece)
        return b"".join(pieces)

    return decompress


def _snappy(body: bytes, most: int) -> bytes:
    # A frame of snappy unfolds at most some twentyfold, so that its whole is bounded by the body.
    del most
    return bytes(cramjam.snappy.decompress(body))


_DECOMPRESS: dict[str, Callable[[bytes, int], bytes]] = {
    "deflate": _inflate(_ZLIB_BITS),
    "gzip": _inflate(_GZIP_BITS),
    "zstd": _arrow("zstd"),
    "lz4": _arrow("lz4"),
    "snappy": _snappy,
}


def compress(body: bytes, name: str) -> bytes:
    """A body compressed by the algorithm of that name."""
    return _COMPRESS[algorithm(name)](body)


def _lz4(body: bytes) -> bytes:
    # The Java SDK's reader (lz4-java) takes no frame whose blocks refer to earlier ones.
    stream = cramjam.lz4.Compressor(block_linked=False)
    stream.compress(body)
    return bytes(stream.finish())


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "deflate": lambda body: bytes(isal_zlib.compress(body, 1)),
    "gzip": lambda body: gzip.compress(body, 1),
    "zstd": lambda body: bytes(cramjam.zstd.compress(body, 1)),
    "lz4": _lz4,
    "snappy": lambda body: bytes(cramjam.snappy.compress(body)),
}
