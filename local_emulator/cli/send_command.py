"""`python -m local_emulator send`: sends one record, the lines of a file or a pipe, or generated orders to a topic."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from local_emulator import connectors
from local_emulator.cli import output
from local_emulator.cli.progress import CONSOLE, ERRORS, SECONDS_BETWEEN_LINES, step
from local_emulator.kafka import lines as record_lines
from local_emulator.kafka.consumer_group import committed_offsets
from local_emulator.kafka.errors import ProduceError
from local_emulator.kafka.lines import Lines
from local_emulator.kafka.orders import SPAN_MS, orders
from local_emulator.kafka.producer import Sent, produce
from local_emulator.kafka.record import Record
from local_emulator.kafka.topics import count_partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from local_emulator.endpoints import Endpoints

INTERRUPTED = 130
MOST_SHOWN = 10
"""The most broken lines that are shown."""
_INPUT = ("file", "lines", "json_lines", "key_field", "skip_bad")
"""Options of which each means that the lines of an input are sent."""
_ANY = ("key", "header", "timestamp", "partition")


def add_arguments(
    parser: argparse.ArgumentParser, whole_number: Callable[[int], Callable[[str], int]]
) -> argparse.Action:
    """Add the command's options; return the one that takes a path."""
    parser.description = (
        "Send one record; or with --lines or --json-lines each line of a file or of standard input; or with --orders "
        "made-up orders. The exit code is 1 if a record wasn't sent."
    )
    parser.add_argument("--topic", help="the topic; default: the connector's source topic")
    parser.add_argument("--key", help="the record's key; default: none")
    parser.add_argument("--value", help="the record's value; with --key alone none, which is a tombstone")
    parser.add_argument(
        "--header", action="append", type=_header, metavar="NAME=VALUE", help="a header; may be repeated"
    )
    parser.add_argument(
        "--timestamp", type=_timestamp, metavar="TIME", help="an ISO time or epoch milliseconds; default: now"
    )
    parser.add_argument("--partition", type=whole_number(0), help="the topic-partition; default: by the key")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--lines", action="store_true", default=None, help="each line of the input is a value")
    kind.add_argument(
        "--json-lines",
        action="store_true",
        default=None,
        help="each line of the input is an object of key, value, headers, timestamp, partition (all optional; key_hex "
        "and value_hex for bytes that aren't UTF-8)",
    )
    file = parser.add_argument("--file", metavar="FILE", help="the input (implies --lines); default: standard input")
    parser.add_argument(
        "--key-field", metavar="NAME", help="the lines are JSON objects, and this field of each is its key"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", default=None, help="leave out lines that can't be read, and go on"
    )
    parser.add_argument("--rate", type=whole_number(1), metavar="N", help="send at most N records a second")
    parser.add_argument("--orders", type=whole_number(1), metavar="COUNT", help="send so many generated orders instead")
    return file


def fault(options: argparse.Namespace) -> str:
    """Return what is wrong with options that exclude one another; "" if nothing is."""
    given = {name for name in ("value", *_INPUT, *_ANY) if getattr(options, name) is not None}
    if not options.orders and not given:
        return (
            "send: name the record's --value, or a --key for a tombstone; or send each line of the input with --lines"
        )
    if options.orders and given:
        return "send --orders makes its own keys, values and topic-partitions; omit the other options"
    if "value" in given and given & set(_INPUT):
        return "send --value sends one record, and the lines of an input have their own values; omit --value"
    if options.key_field and options.json_lines:
        return "send --json-lines has the key in each line; omit --key-field"
    if options.key_field and options.key is not None:
        return "send --key-field takes the key from each line; omit --key"
    return ""


def run(options: argparse.Namespace) -> int:
    """Send, and print how many records were acknowledged; return 0 if all were sent."""
    at = connectors.read(options)
    topic = options.topic or at.topic
    sent: dict[int, Sent] = {}
    partitions = count_partitions(at.kafka, topic)
    if options.partition is not None and (wrong := record_lines.partition_fault(options.partition, partitions)):
        raise ProduceError(f"--partition: {wrong}: {topic} has {partitions} topic-partitions")
    if options.orders:
        records = orders(options.orders, partitions, start_ms=int(time.time() * 1000) - SPAN_MS)
        with step("sent", options.orders) as report:
            _produce(at, topic, _paced(records, options.rate), sent, report)
        return _finish(at, topic, sent, options)
    template = Record(
        options.partition,
        options.timestamp,
        _encoded(options.key),
        _encoded(options.value),
        tuple(options.header or ()),
    )
    if not any(getattr(options, name) for name in _INPUT):
        _produce(at, topic, [template], sent)
        return _finish(at, topic, sent, options)
    with _opened(options.file) as stream:
        parse = (
            partial(record_lines.json_record, partitions=partitions)
            if options.json_lines
            else partial(record_lines.plain, key_field=options.key_field)
        )
        source = Lines(stream, lambda line: parse(line, template), skip=options.skip_bad)
        interruptible = _Interruptible(source)
        try:
            _produce(at, topic, _paced(interruptible, options.rate), sent, _progress())
        except Exception:
            _say_sent(topic, sent)
            raise
    return _finish(at, topic, sent, options, source, interrupted=interruptible.interrupted)


class _Interruptible:
    """Records that end at Ctrl-C, so that those sent before are acknowledged and counted."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.interrupted = False
        self._records = records

    def __iter__(self) -> Iterator[Record]:
        try:
            yield from self._records
        except KeyboardInterrupt:
            self.interrupted = True


def _produce(
    at: Endpoints,
    topic: str,
    records: Iterable[Record],
    sent: dict[int, Sent],
    report: Callable[[int], None] | None = None,
) -> None:
    """Send records; into the source topic not faster than the stream delivers, if the broker keeps few records."""
    is_source = topic == at.topic and at.retention_bytes is not None
    with committed_offsets(at.kafka, at.group, topic) if is_source else nullcontext() as delivered:
        produce(
            at.kafka,
            topic,
            records,
            retention_bytes=at.retention_bytes,
            delivered=delivered,
            report=report,
            sent=sent,
        )


def _paced(records: Iterable[Record], rate: int | None) -> Iterator[Record]:
    """Yield the records, at most `rate` a second."""
    begun = time.monotonic()
    for number, record in enumerate(records):
        if rate is not None and (early := begun + number / rate - time.monotonic()) > 0:
            time.sleep(early)
        yield record


def _progress() -> Callable[[int], None]:
    """Return a function that prints the count of sent records on standard error, every few seconds."""
    printed = time.monotonic()

    def report(count: int) -> None:
        nonlocal printed
        if time.monotonic() - printed > SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            ERRORS.print(f"  {count:,} records")

    return report


def _finish(
    at: Endpoints,
    topic: str,
    sent: Mapping[int, Sent],
    options: argparse.Namespace,
    source: Lines | None = None,
    *,
    interrupted: bool = False,
) -> int:
    """Print the result; return the exit code."""
    seconds = at.stream_config().batch_seconds if topic == at.topic and sent else None
    error = source.error if source else ""
    broken = source.broken if source else []
    if options.json:
        output.print_json(_result(topic, sent, source, seconds))
    else:
        if not options.orders:
            _say_sent(topic, sent)
        if seconds is not None:
            CONSOLE.print(
                f"the stream invokes the sink within {seconds} s (its batch window); then the rows are in the table"
            )
    for line in broken[:MOST_SHOWN]:
        ERRORS.print(f"left out: {line}")
    if source and source.skipped > MOST_SHOWN:
        ERRORS.print(f"left out: {source.skipped:,} lines in all")
    if error:
        output.print_error(f"{error}; nothing after it was sent; correct the line, or leave such lines out: --skip-bad")
    if interrupted:
        ERRORS.print("\nstopped")
        return INTERRUPTED
    return int(bool(error))


def _say_sent(topic: str, sent: Mapping[int, Sent]) -> None:
    """Print how many records the broker has acknowledged, and where they are."""
    count = sum(offsets.count for offsets in sent.values())
    if count == 1:
        ((partition, offsets),) = sent.items()
        CONSOLE.print(f"sent to {topic}, topic-partition {partition}, offset {offsets.last}")
        return
    CONSOLE.print(f"sent to {topic}: {count:,} records")
    for partition, offsets in sorted(sent.items()):
        CONSOLE.print(f"  topic-partition {partition}: {offsets.count:,}, offsets {offsets.first} to {offsets.last}")


def _result(topic: str, sent: Mapping[int, Sent], source: Lines | None, seconds: int | None) -> dict[str, Any]:
    return {
        "topic": topic,
        "sent": sum(offsets.count for offsets in sent.values()),
        "topic_partitions": [
            {"partition": partition, "records": offsets.count, "first": offsets.first, "last": offsets.last}
            for partition, offsets in sorted(sent.items())
        ],
        "left_out": source.skipped if source else 0,
        "broken_lines": source.broken if source else [],
        "window_seconds": seconds,
        **({"error": source.error} if source and source.error else {}),
    }


@contextmanager
def _opened(file: str | None) -> Iterator[IO[bytes]]:
    """Yield the input: a file, or standard input."""
    if file in {None, "-"}:
        yield io.BytesIO() if sys.stdin is None else sys.stdin.buffer
        return
    with Path(str(file)).open("rb") as stream:
        yield stream


def _header(text: str) -> tuple[str, bytes]:
    name, separated, value = text.partition("=")
    if not separated or any("\ud800" <= character <= "\udfff" for character in name):
        raise argparse.ArgumentTypeError("expected NAME=VALUE with a name in UTF-8")
    return name, os.fsencode(value)


def _timestamp(text: str) -> int:
    try:
        return record_lines.milliseconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _encoded(text: str | None) -> bytes | None:
    # The bytes of the command line as they are, UTF-8 or not: a record may hold any bytes.
    return None if text is None else os.fsencode(text)
