"""`python -m local_emulator status`: the services' addresses, the stream's state and lag, and the table's rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from odps.errors import ODPSError

from local_emulator import connectors, provisioner
from local_emulator.cli import own_api, sql_answers, topic
from local_emulator.cli.output import print_json, print_json_line, print_lines
from local_emulator.cli.text_table import draw
from local_emulator.eventbridge.errors import InvocationError
from local_emulator.foundation import installation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from local_emulator.cli.topic import Lag
    from local_emulator.endpoints import Endpoints

PAUSE_SECONDS = 2.0
"""The pause between two looks of `--watch`."""
MOST_VALUES = 10_000
"""The most rows that MaxCompute returns without a download."""
MOVING = ("lag", "settled", "rows", "dead_letters", "failed_invocations")
"""The numbers that `--watch` shows, with their rates."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known at one moment. `reply` is the provisioning function's status, `{}` if it didn't answer.

    `stream` is the emulator's description of the stream, `rows` has the rows of each partition value, `functions` has
    each function's cold and warm calls, and its instances with their running calls.
    """

    moment: float
    stream: Mapping[str, Any]
    lags: Sequence[Lag]
    rows: Mapping[str, int]
    reply: Mapping[str, Any]
    functions: Mapping[str, Mapping[str, Any]]

    @property
    def unsettled(self) -> dict[int, int | None]:
        """How many offsets of each topic-partition the ledger hasn't settled; empty without a ledger."""
        places = self.reply.get("ledger", {}).get("topic_partitions", ())
        return {place["partition"]: place.get("lag") for place in places}

    @property
    def settled(self) -> int | None:
        """The number of offsets that aren't waiting for the ledger; None if that isn't known."""
        unsettled, ends = self.unsettled, {lag.partition: lag.end for lag in self.lags}
        if not unsettled or None in unsettled.values():
            return None
        return sum(max(0, ends.get(partition, 0) - (count or 0)) for partition, count in unsettled.items())

    @property
    def state(self) -> str:
        """The stream's state, and the reason if it has stopped by itself."""
        state, reason = str(self.stream.get("state", "absent")), self.stream.get("reason")
        return f"{state}: {reason}" if reason else state

    def numbers(self) -> dict[str, int | None]:
        """Return the values of `MOVING`; None for what isn't known."""
        return {
            "lag": sum(lag.behind or 0 for lag in self.lags),
            "settled": self.settled,
            "rows": sum(self.rows.values()),
            "dead_letters": self.reply.get("dead_letters"),
            "failed_invocations": self.stream.get("failed_invocations"),
        }

    def as_json(self, at: Endpoints) -> dict[str, Any]:
        """Return the snapshot as a JSON object."""
        unsettled = self.unsettled
        return {
            **at.addresses(),
            "stream": dict(self.stream),
            "topic_partitions": [
                {
                    "partition": lag.partition,
                    "end": lag.end,
                    "delivered": lag.committed,
                    "lag": lag.behind,
                    "unsettled": unsettled.get(lag.partition),
                }
                for lag in self.lags
            ],
            "instances": dict(self.functions),
            "rows": dict(self.rows),
            "dead_letters": self.reply.get("dead_letters"),
            "errors": self.reply.get("errors", []),
            "faults": [*self.reply.get("faults", ()), *self.losses(at)],
        }

    def losses(self, at: Endpoints) -> list[str]:
        """Return a sentence for each topic-partition whose log ends before the delivered offsets."""
        return [loss for lag in self.lags if (loss := lag.describe_loss(at.topic))]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--watch", action="store_true", help="print a line whenever something has moved, with its rate, until Ctrl-C"
    )


def run(options: argparse.Namespace) -> int:
    """Print the status once, or with --watch until Ctrl-C; return 0."""
    at = connectors.read(options)
    if options.watch:
        return _watch(at, as_json=options.json)
    snapshot = look(at)
    if options.json:
        print_json(snapshot.as_json(at))
    else:
        print_lines(lines(at, snapshot))
    return 0


def look(at: Endpoints) -> Snapshot:
    """Return what is known now."""
    functions = own_api.instances(at)
    faults = []
    reply: dict[str, Any] = {}
    try:
        reply = provisioner.invoke(at, {"action": "status"})
    except InvocationError as error:
        faults.append(f"the provisioning function didn't answer: {error}")
    rows: dict[str, int] = {}
    try:
        rows = _row_counts(at)
    except ODPSError as error:
        faults.append(f"the rows of {at.table} can't be counted: {error}")
    reply["faults"] = [*reply.get("faults", ()), *faults]
    return Snapshot(time.monotonic(), own_api.stream(at), topic.lags(at), rows, reply, functions)


def lines(at: Endpoints, snapshot: Snapshot) -> Iterator[str]:
    """Yield the status as lines for a person."""
    yield f"Kafka             {at.kafka}"
    yield f"MaxCompute        {at.maxcompute} (project {at.project}, table {at.table})"
    yield f"Control plane     {at.control}"
    yield f"Function Compute  {at.functions} ({at.function}, {at.provisioner})"
    yield f"\nThe stream is {snapshot.state}; its group is {at.group}"
    unsettled = snapshot.unsettled
    names = ["topic", "partition", "log end", "delivered", "lag", *(["not settled"] if unsettled else [])]
    rows = [
        [at.topic, lag.partition, lag.end, lag.committed, lag.behind]
        + ([unsettled.get(lag.partition)] if unsettled else [])
        for lag in snapshot.lags
    ]
    yield from draw(names, rows)
    yield from (f"fault: {loss}; see: {installation.COMMAND} audit" for loss in snapshot.losses(at))
    yield from (f"fault: {fault}" for fault in snapshot.reply.get("faults", ()))
    for error in snapshot.reply.get("errors", ()):
        yield f"error of {error['topic']}-{error['partition']}: {error['error']}"
    yield "\nThe functions' calls and instances"
    yield from draw(
        ["function", "cold", "warm", "busy", "frozen"], [_calls(*function) for function in snapshot.functions.items()]
    )
    yield f"\nThe table {at.project}.{at.table}"
    yield from draw(["pt", "rows"], list(map(list, snapshot.rows.items())))
    if letters := snapshot.reply.get("dead_letters"):
        yield f"records in the error topic: {letters:,}; to see them: {installation.COMMAND} letters"


def _calls(name: str, status: Mapping[str, Any]) -> list[object]:
    """Return a function's cold and warm calls, and how many of its instances are busy and frozen."""
    running = status["instances"].values()
    busy = sum(1 for calls in running if calls)
    return [name, status["cold"], status["warm"], busy, len(running) - busy]


def _watch(at: Endpoints, *, as_json: bool) -> int:
    """Print a line for the first look and for each look after which something has moved."""
    shown: Snapshot | None = None
    while True:
        snapshot = look(at)
        if shown is None or (snapshot.state, snapshot.numbers()) != (shown.state, shown.numbers()):
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            rates = _rates(shown, snapshot)
            if as_json:
                print_json_line({"time": now, "state": snapshot.state, **snapshot.numbers(), "per_second": rates})
            else:
                print_lines([watch_line(now, snapshot, rates)])
        shown = snapshot
        time.sleep(PAUSE_SECONDS)


def _rates(before: Snapshot | None, after: Snapshot) -> dict[str, float]:
    """Return by how much each number has changed a second; only numbers that have changed."""
    if before is None:
        return {}
    seconds, then = max(after.moment - before.moment, 1e-3), before.numbers()
    return {
        name: round((number - earlier) / seconds, 1)
        for name, number in after.numbers().items()
        if number is not None and (earlier := then[name]) is not None and number != earlier
    }


def watch_line(now: str, snapshot: Snapshot, rates: Mapping[str, float]) -> str:
    """Return a line with the state, the known numbers, and the rates of those that have moved."""
    words = [
        f"{name.replace('_', ' ')} {number:,}" + (f" ({rates[name]:+,.0f}/s)" if name in rates else "")
        for name, number in snapshot.numbers().items()
        if number is not None
    ]
    return f"{now[11:19]}  {snapshot.state}  {', '.join(words)}"


def _row_counts(at: Endpoints) -> dict[str, int]:
    """Return the number of rows by partition value."""
    statement = f"select pt, count(*) from {at.table} group by pt order by pt limit {MOST_VALUES}"  # noqa: S608 - a name
    with sql_answers.connect(at).execute_sql(statement).open_reader(tunnel=True) as reader:
        return {record[0]: record[1] for record in reader}
