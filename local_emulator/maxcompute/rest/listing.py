"""Lists in pages: a marker is the start of the next page; the last page's marker is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from local_emulator.maxcompute.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")
PAGE = 1000


def page(items: Sequence[T], query: Mapping[str, str], key: Callable[[T], str]) -> tuple[list[T], str, int]:
    """Return the page that a request selects with ``marker`` and ``maxitems``.

    Args:
        items: all items, in the order of their keys or in another constant order.
        query: the request's parameters.
        key: returns an item's marker.

    Returns:
        The page, the next page's marker, the requested number of items.
    """
    try:
        size = min(int(query.get("maxitems") or PAGE), PAGE)
    except ValueError:
        raise invalid(f"expected a number in maxitems, found {query['maxitems']!r}") from None
    marker, start = query.get("marker", ""), 0
    if marker:
        keys = [key(item) for item in items]
        # If the marker's item was dropped, the page starts at the marker's place.
        start = keys.index(marker) if marker in keys else sum(known < marker for known in keys)
    chosen = list(items[start : start + size])
    following = items[start + size : start + size + 1]
    return chosen, key(following[0]) if following else "", size
