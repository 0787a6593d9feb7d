"""How many upload sessions a connector opens, against how many a table takes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioning.request import BATCH_SECONDS

if TYPE_CHECKING:
    from kafka_maxcompute.settings.settings import Settings

SESSIONS, SECONDS = 500, 300
"""Upload sessions that a table takes in so many seconds (MaxCompute's limits of Tunnel)."""
MINUTE = 60


def values_of_batch(settings: Settings, window: int) -> int:
    """Partition values in a batch of a stream that keeps up: a window of minutes mostly crosses into the next one."""
    return 1 + (settings.partition == "MINUTE") * -(-max(window, 1) // MINUTE)


def warning(settings: Settings, topic_partitions: int, window: int) -> str:
    """A line with the numbers where the budget is exceeded, else "".

    `window` is a batch window's seconds; each consumer closes one in that time, and each of its partition values is an
    upload session.
    """
    consumers, values = min(settings.concurrency, max(topic_partitions, 1)), values_of_batch(settings, window)
    needed = consumers * values * SECONDS // max(window, 1)
    if needed <= SESSIONS:
        return ""
    enough = -(-consumers * values * SECONDS // SESSIONS)
    counted = f"{consumers} consumers x a batch each {max(window, 1)} s x {values} partition values"
    remedy = f"a window of {enough} s" if enough <= BATCH_SECONDS[1] else "fewer consumers or a coarser partition"
    return f"{counted} = {needed} upload sessions in 5 minutes, and a table takes {SESSIONS}; {remedy} would do"
