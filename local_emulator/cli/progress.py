"""Shows the progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONSOLE = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
"""Prints on standard output, but on standard error if a command prints its result as JSON."""
ERRORS = Console(highlight=False, soft_wrap=True, markup=False, emoji=False, stderr=True)
SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def step(title: str, total: int, *, since: float | None = None) -> Iterator[Callable[[int], None]]:
    """Show a step of `total` records: the body reports how many are done; at the end the rate is printed.

    `since` is the step's begin on the monotonic clock; None if the step begins now.
    """
    begun = time.monotonic() if since is None else since
    done = 0
    last_line = time.monotonic()

    def print_line(now_done: int) -> None:
        nonlocal done, last_line
        done = now_done
        if time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            CONSOLE.print(f"  {title}: {done:,} of {total:,} records")

    if CONSOLE.is_terminal:
        columns = TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=CONSOLE, transient=True) as progress:
            bar = progress.add_task(title, total=total)

            def draw(now_done: int) -> None:
                nonlocal done
                done = now_done
                progress.update(bar, completed=now_done)

            yield draw
    else:
        yield print_line
    seconds = max(time.monotonic() - begun, 1e-9)
    CONSOLE.print(f"  {title}: {done:,} records in {seconds:.1f} s, {done / seconds:,.0f} records/s")
