"""`python -m local_emulator redrive`: dead letters of the running cloud's connector, sent to its source topic again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_emulator import endpoints, provisioner
from local_emulator.cli.progress import CONSOLE
from local_emulator.cli.text_table import draw
from local_emulator.provisioner import ProvisioningError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

COLUMNS = ("do", "reason", "topic_partition", "form", "letters", "offsets", "why")
LONGEST = 100
"""Columns of a terminal for why a letter is left where it is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.description = "Without --go, say which dead letters would be sent, and which not and why; nothing is sent."
    parser.add_argument("--go", action="store_true", help="send them")
    parser.add_argument(
        "--reason", action="append", metavar="WORD", help="only letters of this reason; can be repeated"
    )
    parser.add_argument(
        "--topic-partition", action="append", type=int, metavar="N", help="only of this one of the source topic"
    )
    parser.add_argument("--since", metavar="TIME", help="only letters written then or later: 2026-11-01T00:00:00Z")
    parser.add_argument("--until", metavar="TIME", help="only letters written before")
    parser.add_argument(
        "--allow",
        action="append",
        choices=("as-delivered", "truncated", "unclear"),
        help="also send letters whose record is gone, as the event had it, or cut short, or those that may be done",
    )
    parser.add_argument(
        "--queue-topic", metavar="TOPIC", help="read EventBridge's dead-letter queue too: a Kafka topic"
    )
    parser.add_argument(
        "--messages", action="append", type=Path, metavar="FILE", help="or the body of a message out of that queue"
    )
    parser.add_argument("--json", action="store_true", help="print the reply as it is")


def run(options: argparse.Namespace) -> int:
    """Ask the provisioning function, and draw its reply; 1 where something stood against it."""
    reply = provisioner.invoke(endpoints.read(), event(options))
    for line in [json.dumps(reply, indent=2, ensure_ascii=False)] if options.json else lines(reply):
        CONSOLE.print(line)
    return int(provisioner.undone(reply))


def event(options: argparse.Namespace) -> dict[str, Any]:
    """The event of the provisioning function's action `redrive`."""
    filters = {
        "reasons": options.reason,
        "topic_partitions": options.topic_partition,
        "since": options.since,
        "until": options.until,
        "allow": options.allow,
        "queue_topic": options.queue_topic,
        "messages": [_message(file) for file in options.messages or ()],
    }
    return {
        "action": "redrive",
        "dry_run": not options.go,
        "letters": {name: value for name, value in filters.items() if value},
    }


def _message(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProvisioningError(f"{file}: expected a message's text in UTF-8, found other bytes: {error}") from None


def lines(reply: Mapping[str, Any]) -> Iterator[str]:
    """The reply for a person."""
    rows = [[row[name] for name in COLUMNS] for row in reply.get("letters", ())]
    if rows:
        yield from draw([name.replace("_", "-") for name in COLUMNS], rows, LONGEST)
    elif not reply["faults"]:
        yield "no dead letters, or none that match"
    if reply.get("unreadable"):
        yield f"{reply['unreadable']} records of the error topics are no dead letters of this version"
    yield from (f"fault: {fault}" for fault in reply["faults"])
    wanted = sum(row["letters"] for row in reply.get("letters", ()) if row["do"] == "redrive")
    if reply["state"] == "planned":
        yield f"letters that would be sent: {wanted}; none was; send them with --go"
    elif "redriven" in reply:
        yield f"letters sent to the source topic again: {reply['redriven']}"
