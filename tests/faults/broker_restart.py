"""A broker that dies and comes back with its data, which ends all connections to it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_emulator.kafka.apache import ApacheBroker

STOP_SECONDS = 60.0


def kill_and_start_again(broker: ApacheBroker) -> None:
    """The broker's process dies; another one begins with its data."""
    process = broker._process
    assert process is not None
    assert process.stdin is not None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)
    process.stdin.close()
    broker._process = broker._start()
    broker._await_start()
