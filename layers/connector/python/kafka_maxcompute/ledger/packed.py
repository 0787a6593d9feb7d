"""Intervals of offsets as the ledger's documents hold them: a list of pairs, or packed if there are many.

Packed intervals are an array: the first offset, a letter for the width of the numbers (as in the module struct: B, H, I
or Q), and the numbers, little-endian, deflated and in base64. The numbers are the steps from the end of each interval
to the start of the next one, then the length less one of each interval. 10,000 records at every third offset take
60 bytes, at a third of all offsets at random 6 KB; as pairs they take 150 KB and 100 KB.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode, b64encode
from itertools import accumulate, chain
from operator import sub
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_maxcompute.offsets import Intervals

FEW = 16
"""Up to this many intervals stay pairs, which people can read."""
MOST_BYTES = 16 << 20
"""Most inflated bytes of a packed array: eight million intervals, which as Python's tuples take a gigabyte."""
_WIDTHS = {"B": 1, "H": 2, "I": 4, "Q": 8}


def pack(intervals: Intervals) -> Any:
    """Return intervals in normal form as values that JSON can hold."""
    if len(intervals) <= FEW:
        return intervals
    ends = list(chain.from_iterable(intervals))
    steps = [*map(sub, ends[2::2], ends[1::2]), *map(sub, ends[1::2], ends[::2])]
    highest = max(steps)
    width = next(letter for letter, size in _WIDTHS.items() if highest < 1 << 8 * size)
    numbers = struct.pack(f"<{len(steps)}{width}", *steps)
    return ends[0], width, b64encode(zlib.compress(numbers)).decode()


def unpack(packed: Any) -> Any:
    """Return the intervals of a packed array, or a list of pairs unchanged. Raises `ValueError` or `TypeError`."""
    if len(packed) != 3 or not isinstance(packed[1], str):  # noqa: PLR2004 - the fields of a packed array
        return packed
    first, width, text = packed
    try:
        numbers = _inflate(b64decode(text, validate=True))
        steps = struct.unpack(f"<{len(numbers) // _WIDTHS[width]}{width}", numbers)
    except (zlib.error, struct.error, KeyError) as error:
        raise ValueError(f"packed offsets can't be read: {error}") from error
    count = len(steps) // 2
    if len(steps) % 2 == 0 or not {0, 1}.isdisjoint(steps[:count]):  # nearer, they'd be one interval
        raise ValueError("expected packed offsets to be rising intervals that don't touch")
    ends = [first] * (len(steps) + 1)
    ends[1::2], ends[2::2] = steps[count:], steps[:count]
    ends = list(accumulate(ends))
    return tuple(zip(ends[::2], ends[1::2], strict=True))


def _inflate(deflated: bytes) -> bytes:
    """Inflate at most `MOST_BYTES`; raises `ValueError` for more, since one megabyte could inflate to a gigabyte."""
    inflater = zlib.decompressobj()
    numbers = inflater.decompress(deflated, MOST_BYTES + 1)
    if len(numbers) > MOST_BYTES:
        raise ValueError(f"packed offsets can't be read: expected at most {MOST_BYTES:,} bytes, found more")
    if not inflater.eof or inflater.unused_data:
        raise ValueError("packed offsets can't be read: expected one whole deflated text, found less or more")
    return numbers
