"""Works on several items at a time, in as many threads as the services allow."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PARALLEL = 8
"""Items that are worked on together; MaxCompute takes 32 commits at a time for one table."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(work: Callable[[Item], Result], items: Sequence[Item]) -> tuple[Result, ...]:
    """Call `work` with each item, several at a time; return the results. After a failure no further item is begun."""
    if len(items) <= 1:
        return tuple(map(work, items))
    failed = threading.Event()

    def unless_failed(item: Item) -> tuple[Result, ...]:
        if failed.is_set():
            return ()
        try:
            return (work(item),)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(min(PARALLEL, len(items))) as pool:
        # Each in its own copy of the context, so that log lines keep the invocation's fields.
        running = [pool.submit(contextvars.copy_context().run, unless_failed, item) for item in items]
    return tuple(result for future in running for result in future.result())
