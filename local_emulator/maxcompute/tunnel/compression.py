"""The compressions of Tunnel's bodies, with all names that clients use. A body is one compressed stream."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

import cramjam
import pyarrow as pa
from isal import isal_zlib

from local_emulator.maxcompute.tunnel.errors import malformed, tunnel_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# The largest decompressed body in memory. The service accepts blocks of up to 100 GB; a laptop can't.
LARGEST_BODY = 2 << 30
_PIECE = 4 << 20
# isal's annotations declare its error's class as an instance.
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
    """Return the algorithm of a Content-Encoding ("" for none); ServiceError NotImplemented for an unknown name."""
    known_algorithm = _NAMES.get(name.strip().lower())
    if known_algorithm is None:
        known = ", ".join(filter(None, _NAMES))
        raise tunnel_error("NotImplemented", f"Content-Encoding is '{name}'; expected one of {known}.")
    return known_algorithm


def accepted(header: str) -> str:
    """Return the first name in an Accept-Encoding header that the emulator can write; "" for none."""
    for choice in header.split(","):
        name = choice.partition(";")[0].strip()
        if _NAMES.get(name.lower()):
            return name
    return ""


def decompress(body: bytes, name: str, most: int = LARGEST_BODY) -> bytes:
    """Return a body's plain bytes; ServiceError MalformedDataStream or MaxMessageLengthExceeded."""
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
    # Snappy expands a body at most about twentyfold, so the body's size is limit enough.
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
    """Return a compressed body."""
    return b"".join(compressed([body], name))


def compressed(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Compress a body's pieces as one stream; each yielded piece can be sent at once."""
    method = algorithm(name)
    if not method:
        yield from pieces
        return
    stream = _STREAMS[method]()
    for piece in pieces:
        yield stream.compress(piece)
    yield stream.finish()


class _Stream(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Deflate:
    """zlib's or gzip's container, at the compression level of the service's clients."""

    def __init__(self, bits: int) -> None:
        self._stream = isal_zlib.compressobj(1, isal_zlib.DEFLATED, bits)

    def compress(self, data: bytes) -> bytes:
        return bytes(self._stream.compress(data))

    def finish(self) -> bytes:
        return bytes(self._stream.flush())


class _Cramjam:
    """A compressor of cramjam, which returns its output only at a flush."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def compress(self, data: bytes) -> bytes:
        self._stream.compress(data)
        return bytes(self._stream.flush())

    def finish(self) -> bytes:
        return bytes(self._stream.finish())


_STREAMS: dict[str, Callable[[], _Stream]] = {
    "deflate": lambda: _Deflate(_ZLIB_BITS),
    "gzip": lambda: _Deflate(_GZIP_BITS),
    "zstd": lambda: _Cramjam(cramjam.zstd.Compressor(level=1)),
    # The Java SDK's reader (lz4-java) can't read frames with blocks that refer to earlier blocks.
    "lz4": lambda: _Cramjam(cramjam.lz4.Compressor(block_linked=False)),
    "snappy": lambda: _Cramjam(cramjam.snappy.Compressor()),
}
