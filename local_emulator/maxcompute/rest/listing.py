"""Lists in pages: a marker says where the next page begins, an empty one that there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from local_emulator.maxcompute.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")
PAGE = 1000


def page(items: Sequence[T], query: Mapping[str, str], key: Callable[[T], str]) -> tuple[list[T], str, int]:
    """The page that a request asks for with ``marker`` and ``maxitems``.

    Args:
        items: all of them, in the order of their keys or in another that doesn't change.
        query: the request's parameters.
        key: what the marker names an item by.

    Returns:
        The page, the next one's marker, the number of items asked for.
    """
    try:
        size = min(int(query.get("maxitems") or PAGE), PAGE)
    except ValueError:
        raise invalid(f"expected a number in maxitems, found {query['maxitems']!r}") from None
    marker, start = query.get("marker", ""), 0
    if marker:
        keys = [key(item) for item in items]
        # What the marker names may have gone since; then the list goes on behind its place.
        start = keys.index(marker) if marker in keys else sum(known < marker for known in keys)
    chosen = list(items[start : start + size])
    following = items[start + size : start + size + 1]
    return chosen, key(following[0]) if following else "", size
