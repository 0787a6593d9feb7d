"""The number of upload sessions that a connector opens, compared with a table's limit. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioning.request import BATCH_SECONDS

if TYPE_CHECKING:
    from kafka_maxcompute.settings.settings import Settings

SESSIONS, SECONDS = 500, 300
"""A table takes `SESSIONS` upload sessions in `SECONDS` (MaxCompute's limits of Tunnel)."""
MINUTE = 60


def values_of_batch(settings: Settings, window: int) -> int:
    """Return the number of partition values in a batch of a stream without lag.

    `window` is the batch window in seconds. If each minute has a partition value, most batches reach into the next.
    """
    return 1 + (settings.partition == "MINUTE") * -(-max(window, 1) // MINUTE)


def warning(settings: Settings, topic_partitions: int, window: int) -> str:
    """Return a line with the numbers if the limit is exceeded, else "".

    `window` is the batch window in seconds: each consumer delivers one batch in that time, and each partition value of
    a batch takes an upload session.
    """
    consumers, values = min(settings.concurrency, max(topic_partitions, 1)), values_of_batch(settings, window)
    needed = consumers * values * SECONDS // max(window, 1)
    if needed <= SESSIONS:
        return ""
    enough = -(-consumers * values * SECONDS // SESSIONS)
    counted = f"{consumers} consumers x a batch each {max(window, 1)} s x {values} partition values"
    wider = f"a window (BATCH_SECONDS) of {enough} s"
    remedy = wider if enough <= BATCH_SECONDS[1] else "fewer consumers (concurrency) or a coarser partition"
    return f"{counted} = {needed} upload sessions in 5 minutes, and a table takes {SESSIONS}; {remedy} would do"
