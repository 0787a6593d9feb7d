"""`python -m local_emulator replay`: sends recorded deliveries to a function again, and compares the outcomes."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local_emulator import connectors, local_template, project
from local_emulator.batches.making import ORDERS_FILE
from local_emulator.cli.output import print_json, print_lines
from local_emulator.cli.progress import CONSOLE, step
from local_emulator.cli.text_table import draw, printable
from local_emulator.eventbridge import recording
from local_emulator.eventbridge.comparison import SUCCESS, Comparison, kind, recorded_outcome
from local_emulator.eventbridge.errors import InvocationError
from local_emulator.eventbridge.function_client import AccessKey, FunctionClient
from local_emulator.eventbridge.replaying import Manner, Survey, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from local_emulator.endpoints import Endpoints
    from local_emulator.eventbridge.deliveries import RecordedDelivery
    from local_emulator.eventbridge.function_client import Outcome
    from local_emulator.eventbridge.replaying import Sending

MOST_REPLIES = 10
"""Lone batches have nothing to compare with: so many replies are printed."""


class ReplayError(Exception):
    """The replay isn't carried out: something is missing, or has to be confirmed."""


def add_arguments(
    parser: argparse.ArgumentParser, whole_number: Callable[[int], Callable[[str], int]]
) -> argparse.Action:
    """Add the command's options; return the argument of the files."""
    parser.description = (
        "Send the deliveries of recordings, or lone batches, to the function again, one after the other, and compare "
        "the outcomes. The exit code is 1 if outcomes differ from the recorded ones, or a lone batch failed."
    )
    file = parser.add_argument(
        "file",
        nargs="*",
        type=Path,
        default=[ORDERS_FILE],
        help="a recording of `record`, or a JSON array of events; default: 200 orders that come with the command",
    )
    parser.add_argument(
        "--target",
        choices=("local", "deployed"),
        default="local",
        help="the running local cloud's function, or the deployed one, with the keys in ALIBABA_CLOUD_ACCESS_KEY_ID "
        "and ALIBABA_CLOUD_ACCESS_KEY_SECRET; default: %(default)s",
    )
    parser.add_argument("--function", metavar="NAME", help="the function; default: the sink of template.yml")
    parser.add_argument("--stream", metavar="NAME", help="only the deliveries of this event stream; default: of all")
    parser.add_argument("--endpoint", metavar="URL", help="of the deployed function; default: that of its region")
    parser.add_argument(
        "--speed", type=_speed, help="1 is the recorded pace, 2 twice as fast, max without pauses; default: max"
    )
    parser.add_argument(
        "--order", choices=("recorded", "shuffled", "reversed"), default="recorded", help="default: %(default)s"
    )
    parser.add_argument("--seed", type=whole_number(0), default=0, help="of the shuffled order; default: %(default)s")
    parser.add_argument(
        "--duplicate", type=whole_number(0), default=0, metavar="N", help="send each batch N more times; default: 0"
    )
    parser.add_argument("--cut", type=whole_number(1), metavar="N", help="cut the events into new batches of N")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be sent where")
    parser.add_argument(
        "--yes", action="store_true", help="confirm a replay to a deployed function, or one that may double rows"
    )
    return file


def _speed(text: str) -> float | None:
    """Return the factor of the recorded pace; None for max."""
    try:
        speed = None if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if speed is not None and not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"expected max or a number above 0, found {text!r:.60}")
    return speed


def run(options: argparse.Namespace) -> int:
    """Say what the replay will do, do it, and compare; return 1 if outcomes differ or a lone batch failed."""
    manner = Manner(options.order, options.seed, options.duplicate, options.cut)
    at = connectors.read(options) if options.target == "local" else None
    client = _local(at, options.function) if at else _deployed(options)
    surveys = {file: _survey(file, options.stream) for file in options.file}
    _refuse_foreign_streams(surveys, options.stream, None if options.function else at)
    _announce(surveys, manner, client, options)
    if options.dry_run:
        CONSOLE.print("dry run: nothing was sent")
    replays = [] if options.dry_run else [_replay(*each, manner, client, options) for each in surveys.items()]
    if options.json:
        files = [{"file": str(file), "records": survey.events} for file, survey in surveys.items()]
        results = [replay.as_json() for replay in replays]
        print_json({"target": options.target, "function": client.function, "files": files, "replayed": results})
    return int(any(replay.has_failed() for replay in replays))


def _survey(file: Path, stream: str | None) -> Survey:
    """Read the whole file, so that a damaged one is refused before anything is sent."""
    survey = Survey()
    for delivery in recording.read(file):
        survey.streams.add(delivery.stream)
        if stream in {None, delivery.stream}:
            survey.add(delivery)
    return survey


def _deliveries(file: Path, stream: str | None) -> Iterator[RecordedDelivery]:
    """Yield a file's deliveries, with `stream` only those of this stream."""
    return (delivery for delivery in recording.read(file) if stream in {None, delivery.stream})


def _refuse_foreign_streams(surveys: Mapping[Path, Survey], stream: str | None, at: Endpoints | None) -> None:
    """Raise ReplayError if rows would get into the table of another connector.

    The deliveries have to be of one stream; with `at` of its connector's stream. A lone batch is of no stream.
    """
    for file, survey in surveys.items():
        if stream is not None and stream not in survey.streams:
            raise ReplayError(f"--stream: expected one of {_names(survey.streams)}, found {stream} ({file})")
    found = {stream} if stream else {name for survey in surveys.values() for name in survey.streams if name}
    if len(found) > 1:
        raise ReplayError(
            f"expected deliveries of one stream, because each stream's function writes a table of its own; found "
            f"deliveries of {_names(found)}; choose one with --stream NAME"
        )
    if at and found and found != {at.stream}:
        raise ReplayError(
            f"expected deliveries of {at.stream}, the stream of the connector {at.connector}, found {_names(found)}; "
            "name the stream's connector with --connector NAME, or with --function NAME a function whose table the "
            "rows may get into"
        )


def _names(streams: set[str]) -> str:
    return printable(", ".join(sorted(filter(None, streams)))) or "no stream (lone batches have none)"


def _local(at: Endpoints, function: str | None) -> FunctionClient:
    return FunctionClient(at.control, function or at.function, AccessKey(at.access_id, at.access_key))


def _deployed(options: argparse.Namespace) -> FunctionClient:
    """Return a client of the deployed function, with the keys of the environment."""
    names = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
    if missing := [name for name in names if not os.environ.get(name)]:
        raise ReplayError(f"a replay to a deployed function needs {' and '.join(missing)} in the environment")
    key_id, secret = (os.environ[name] for name in names)
    key = AccessKey(key_id, secret, os.environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""))
    sink = local_template.template(project.environment()).functions[local_template.SINK]
    endpoint = options.endpoint or f"https://fcv3.{sink.region}.aliyuncs.com"
    return FunctionClient(endpoint, options.function or sink.name, key)


def _announce(
    surveys: Mapping[Path, Survey], manner: Manner, client: FunctionClient, options: argparse.Namespace
) -> None:
    """Say what will be sent where, and what this does to the rows; ReplayError if it has to be confirmed."""
    for file, survey in surveys.items():
        CONSOLE.print(
            f"{file}: {survey.deliveries:,} deliveries of {survey.events:,} events ({printable(survey.records())})"
        )
    count = sum(survey.invocations(manner) for survey in surveys.values())
    CONSOLE.print(f"to the {options.target} function {client.function} at {client.endpoint}: {count:,} invocations")
    environment = client.environment() or {}
    mode, topic = environment.get("CONNECTOR_DELIVERY", ""), environment.get("CONNECTOR_SOURCE_TOPIC", "")
    foreign = sorted({name for survey in surveys.values() for name, _ in survey.ranges} - {topic})
    if topic and foreign:
        CONSOLE.print(
            f"the function's source topic is {topic}; it writes rows of {printable(', '.join(foreign))} as well"
        )
    if mode == "exactly-once":
        CONSOLE.print("the function delivers exactly-once: records that its ledger has as settled get no second row")
        reasons = []
    else:
        what = f"delivers {mode}" if mode else "doesn't say how it delivers"
        reasons = [f"the function {what}, so records that are in the table already get a second row"]
    if options.target == "deployed":
        reasons.append(
            "the function is deployed, so this writes into a real table, and its ledger knows records by topic, "
            "topic-partition and offset: replay only what this topic's own stream delivered, because the topic's "
            "record at an offset that a foreign record has taken is dropped as settled"
        )
    if reasons and not (options.yes or options.dry_run):
        raise ReplayError(f"{'; '.join(reasons)}. To replay all the same, add --yes; to send nothing, --dry-run")
    for reason in reasons:
        CONSOLE.print(reason)


@dataclass(slots=True)
class _Replay:
    """The result of replaying one file; `compared` is False for lone batches, which have no recorded outcomes."""

    file: Path
    compared: bool
    cut: bool
    comparison: Comparison = field(default_factory=Comparison)
    failed: int = 0
    """The invocations that failed, of copies and of lone batches."""
    replies: list[str] = field(default_factory=list)

    def add(self, sending: Sending, outcome: Outcome) -> None:
        """Add the outcome of an invocation."""
        if sending.copy or not self.compared:
            self.failed += kind(outcome) != SUCCESS
        if not sending.copy:
            self.comparison.add(sending.events, outcome, sending.delivery if self.compared else None)
            if not self.compared and len(self.replies) < MOST_REPLIES:
                self.replies.append(outcome.reply or f"{kind(outcome)}: {outcome.message}")

    def differs(self) -> bool:
        """Return whether the outcomes differ from the recorded ones."""
        return self.compared and (self.comparison.totals_differ() if self.cut else bool(self.comparison.differing))

    def has_failed(self) -> bool:
        """Return whether outcomes differ, or a copy or a lone batch failed."""
        return self.differs() or bool(self.failed)

    def as_json(self) -> dict[str, object]:
        """Return the result as JSON."""
        sides = {"now": self.comparison.now} | ({"recorded": self.comparison.recorded} if self.compared else {})
        return {
            "file": str(self.file),
            "differs": self.differs(),
            "failed": self.failed,
            "replies": self.replies,
            "differences": self.comparison.named,
            **{side: {"events": totals.events, **totals.counts} for side, totals in sides.items()},
        }


def _replay(file: Path, survey: Survey, manner: Manner, client: FunctionClient, options: argparse.Namespace) -> _Replay:
    """Replay one file, and print how the outcomes compare."""
    replay = _Replay(file, survey.has_outcomes, manner.cut is not None)
    if survey.has_outcomes:
        for delivery in _deliveries(file, options.stream):
            replay.comparison.recorded.add(delivery.events, recorded_outcome(delivery))
    done, begun = 0, time.monotonic()
    with step(f"replayed {file.name}", survey.events * (1 + manner.duplicate), since=begun) as report:
        for sending in plan(_deliveries(file, options.stream), manner):
            if options.speed is not None:
                time.sleep(max(0.0, begun + sending.seconds / options.speed - time.monotonic()))
            replay.add(sending, _invoke(client, sending))
            done += sending.events
            report(done)
    for reply in replay.replies:
        CONSOLE.print(f"  {printable(reply)}")
    if replay.failed:
        CONSOLE.print(f"  {replay.failed:,} invocations failed")
    if replay.compared:
        _print_comparison(replay)
    return replay


def _invoke(client: FunctionClient, sending: Sending) -> Outcome:
    """Invoke the function; InvocationError if Function Compute refuses, which the other batches wouldn't change."""
    outcome = client.invoke(sending.body)
    if outcome.status in {401, 403, 404}:
        raise InvocationError(
            f"Function Compute at {client.endpoint} answered {kind(outcome)}: {outcome.message}", retryable=False
        )
    return outcome


def _print_comparison(replay: _Replay) -> None:
    comparison = replay.comparison
    recorded, now = comparison.recorded, comparison.now
    kinds = sorted({*recorded.events, *now.events}, key=lambda name: (name != SUCCESS, name))
    rows = [[f"events: {name}", recorded.events[name], now.events[name]] for name in kinds]
    counts = {"records": "rows written", "diverted": "dead letters", "dropped": "dropped, because settled before"}
    rows += [[text, recorded.counts[name], now.counts[name]] for name, text in counts.items()]
    print_lines(draw(["outcome", "recorded", "now"], rows))
    print_lines(map(printable, comparison.named))
    if comparison.differing > len(comparison.named):
        CONSOLE.print(f"and {comparison.differing - len(comparison.named):,} more")
    same = "the outcomes are as recorded"
    CONSOLE.print("the outcomes differ from the recorded ones" if replay.differs() else same)
