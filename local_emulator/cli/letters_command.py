"""`python -m local_emulator letters`: lists dead letters of the running cloud's connector and their contents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_emulator import connectors, provisioner
from local_emulator.cli.output import print_json, print_lines
from local_emulator.cli.text_table import draw, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

COLUMNS = ("letter", "reason", "record", "written", "message")
PAYLOAD_BYTES = 1_024


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that select dead letters."""
    parser.add_argument(
        "--reason", action="append", metavar="WORD", help="only dead letters with this reason; may be repeated"
    )
    parser.add_argument(
        "--topic-partition",
        action="append",
        type=int,
        metavar="N",
        help="only dead letters from topic-partition N of the source topic; may be repeated",
    )
    parser.add_argument(
        "--offset",
        action="append",
        type=int,
        metavar="N",
        help="only dead letters of records with offset N in the source topic; may be repeated",
    )
    parser.add_argument(
        "--since", metavar="TIME", help="only dead letters written at this time or later, such as 2026-11-01T00:00:00Z"
    )
    parser.add_argument("--until", metavar="TIME", help="only dead letters written before this time")
    parser.add_argument(
        "--queue-topic", metavar="TOPIC", help="also read EventBridge's dead-letter queue, if it is this Kafka topic"
    )


def filters(options: argparse.Namespace) -> dict[str, Any]:
    """Return the given filters as the provisioning function takes them."""
    given = {
        "reasons": options.reason,
        "topic_partitions": options.topic_partition,
        "offsets": options.offset,
        "since": options.since,
        "until": options.until,
        "queue_topic": options.queue_topic,
    }
    return {name: value for name, value in given.items() if value is not None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = (
        "List dead letters, page by page: reason, place of the record, time, message. "
        "With --payload, also show their keys, values and headers."
    )
    add_filters(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="the most dead letters of a page; default: 100")
    parser.add_argument("--after", metavar="LETTER", help="begin after this dead letter, the last one of a page")
    parser.add_argument(
        "--payload",
        nargs="?",
        type=int,
        const=PAYLOAD_BYTES,
        metavar="BYTES",
        help="show key, value and headers, each up to this many bytes; default: %(const)s, most: 65536",
    )
    parser.add_argument("--hex", action="store_true", help="with --payload: show all bytes as hex, even text")


def run(options: argparse.Namespace) -> int:
    """Invoke the provisioning function and print the page; return 1 if the function reports faults."""
    reply = provisioner.invoke(connectors.read(options), event(options))
    if options.json:
        print_json(reply)
    else:
        print_lines(lines(reply, as_hex=options.hex))
    return int(provisioner.has_failed(reply))


def event(options: argparse.Namespace) -> dict[str, Any]:
    """Return the event for the provisioning function's action `letters`."""
    page = {"limit": options.limit, "after": options.after, "payload_bytes": options.payload}
    given = {name: value for name, value in page.items() if value is not None}
    return {"action": "letters", "letters": filters(options), **given}


def lines(reply: Mapping[str, Any], *, as_hex: bool = False) -> Iterator[str]:
    """Yield the reply as lines for a person: a table, or a block for each dead letter if the reply has payloads."""
    letters = reply.get("letters", ())
    if any("payload" in letter for letter in letters):
        for letter in letters:
            yield from _block(letter, as_hex=as_hex)
    elif letters:
        rows = [
            [letter["letter"], letter["reason"], _record(letter), letter["written"], letter["message"]]
            for letter in letters
        ]
        yield from draw(COLUMNS, rows)
    elif "total" in reply:
        yield "no dead letters, or none that match"
    if reply.get("unreadable"):
        yield f"records of the error topics that aren't dead letters of this version: {reply['unreadable']}"
    yield from (f"fault: {fault}" for fault in reply["faults"])
    if letters:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in reply["reasons"].items())
        yield f"{len(letters):,} of {reply['total']:,} dead letters ({reasons})"
    if reply.get("next"):
        yield f"to see more, add --after {reply['next']}"


def _record(letter: Mapping[str, Any]) -> str:
    if letter["topic"] is None:
        return "unknown"
    return f"{letter['topic']}-{letter['partition']}-{letter['offset']}"


def _block(letter: Mapping[str, Any], *, as_hex: bool) -> Iterator[str]:
    yield f"{letter['letter']}: {letter['reason']}" + (", redriven" if letter["redriven"] else "")
    cut = f", cut: {', '.join(letter['truncated'])}" if letter["truncated"] else ""
    yield f"  record     {_record(letter)}, {letter['timestamp'] or 'without a time'} ({letter['form']}{cut})"
    yield f"  written    {letter['written']} by request {letter['request_id'] or 'unknown'}"
    yield f"  message    {printable(letter['message'])} (at {printable(letter['path'])})"
    payload = letter["payload"]
    if payload is None:
        yield "  payload    not in the topic any more"
    else:
        yield f"  key        {_part(payload['key'], as_hex=as_hex)}"
        for header in payload["headers"]:
            yield f"  header     {printable(header['name'])}: {_part(header['value'], as_hex=as_hex)}"
        if payload["headers_left_out"]:
            yield f"  headers    {payload['headers_left_out']:,} more"
        yield f"  value      {_part(payload['value'], as_hex=as_hex)}"
    yield ""


def _part(part: Mapping[str, Any] | None, *, as_hex: bool) -> str:
    """Return a part of a record as one line of text or hex, with a note if not all bytes are shown."""
    if part is None:
        return "null"
    if not part["bytes"]:
        return "(empty)"
    text = part.get("text")
    if text is not None and not as_hex:
        shown = printable(text)
    else:
        shown = f"0x{part['hex'] if text is None else text.encode().hex()}"
    return f"{shown} ... ({part['bytes']:,} bytes in all)" if part.get("cut") else shown
