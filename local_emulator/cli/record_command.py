"""`python -m local_emulator record`: the event stream's deliveries, with their outcomes, into a file."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import msgspec

from local_emulator import endpoints
from local_emulator.cli.output import print_json
from local_emulator.cli.own_api import request, streams
from local_emulator.cli.progress import CONSOLE, SECONDS_BETWEEN_LINES
from local_emulator.eventbridge import recording
from local_emulator.eventbridge.deliveries import RecordedDelivery
from local_emulator.eventbridge.errors import RecordingError
from local_emulator.foundation import installation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from local_emulator.endpoints import Endpoints

LOOK_SECONDS = 0.2


def run(options: argparse.Namespace) -> int:
    """Write the deliveries that the cloud keeps, and those that follow; RecordingError if there are none."""
    at = endpoints.read()
    if options.stream is not None and options.stream not in (known := streams(at)):
        raise RecordingError(f"--stream: expected one of {', '.join(known) or 'none'}, found {options.stream}")
    deliveries = _deliveries(at, options.stream, None if options.follow else options.seconds)
    first = next(deliveries, None)
    if first is None:
        raise RecordingError(
            f"the event stream delivered nothing within {options.seconds} s; send some records: "
            f"{installation.COMMAND} send --orders 100"
        )
    count = events = 0
    last_line = time.monotonic()
    try:
        with recording.writer(options.file) as write:
            for delivery in itertools.islice(itertools.chain([first], deliveries), options.count):
                write(delivery)
                count, events = count + 1, events + delivery.events
                if time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
                    last_line = time.monotonic()
                    CONSOLE.print(f"  recorded {count:,} deliveries")
    except RecordingError:
        count = 0  # there is no file
        raise
    finally:
        if count:
            CONSOLE.print(f"wrote {options.file}: {count:,} deliveries of {events:,} events")
            if options.json:
                print_json({"file": str(options.file), "deliveries": count, "events": events})
    return 0


def _deliveries(at: Endpoints, stream: str | None, seconds: float | None) -> Iterator[RecordedDelivery]:
    """Yield deliveries until none came for so many seconds; without an end if `seconds` is None."""
    after = 0
    quiet_since = time.monotonic()
    while seconds is None or time.monotonic() - quiet_since < seconds:
        answer = request(at, "GET", "deliveries", after=after)
        if answer["dropped"]:
            CONSOLE.print(f"{answer['dropped']:,} deliveries are missing: the cloud keeps the newest 64 MB only")
        for delivery in msgspec.convert(answer["deliveries"], list[RecordedDelivery]):
            after, quiet_since = delivery.number, time.monotonic()
            if stream in {None, delivery.stream}:
                yield delivery
        if not answer["deliveries"]:
            time.sleep(LOOK_SECONDS)
