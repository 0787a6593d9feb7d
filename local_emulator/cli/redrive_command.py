"""`python -m local_emulator redrive`: sends dead letters of the running cloud's connector to the source topic again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_emulator import connectors, provisioner
from local_emulator.cli.letters_command import add_filters, filters
from local_emulator.cli.output import print_json, print_lines
from local_emulator.cli.text_table import draw
from local_emulator.provisioner import ProvisioningError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

COLUMNS = {
    "do": "do",
    "reason": "reason",
    "topic_partition": "topic-partition",
    "form": "form",
    "letters": "dead letters",
    "offsets": "offsets",
    "why": "why",
}
"""The fields of a row of the reply, each with its heading."""
LONGEST = 100
"""The most columns of a terminal for the reason why a dead letter isn't sent."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = (
        "Send dead letters to the source topic again. Without --go nothing is sent: "
        "the command lists which dead letters it would send, which not, and why."
    )
    parser.add_argument("--go", action="store_true", help="send the dead letters")
    add_filters(parser)
    parser.add_argument(
        "--allow",
        action="append",
        choices=("as-delivered", "truncated", "unclear"),
        help="also send dead letters whose record is gone from the source topic: as the event had it (as-delivered), "
        "or cut short (truncated); or dead letters whose record may be in the table already (unclear); may be repeated",
    )
    parser.add_argument(
        "--messages",
        action="append",
        type=Path,
        metavar="FILE",
        help="also read this file: the body of a message from EventBridge's dead-letter queue; may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    """Invoke the provisioning function and print its reply; return 1 if the redrive wasn't done or found faults."""
    reply = provisioner.invoke(connectors.read(options), event(options))
    if options.json:
        print_json(reply)
    else:
        print_lines(lines(reply))
    return int(provisioner.has_failed(reply))


def event(options: argparse.Namespace) -> dict[str, Any]:
    """Return the event for the provisioning function's action `redrive`."""
    more = {"allow": options.allow, "messages": [_message(file) for file in options.messages or ()]}
    return {
        "action": "redrive",
        "dry_run": not options.go,
        "letters": filters(options) | {name: value for name, value in more.items() if value},
    }


def _message(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProvisioningError(f"{file}: expected a message's text in UTF-8, found other bytes: {error}") from None


def lines(reply: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reply as lines for a person."""
    rows = [[row[name] for name in COLUMNS] for row in reply.get("letters", ())]
    if rows:
        yield from draw(list(COLUMNS.values()), rows, LONGEST)
    elif not reply["faults"]:
        yield "no dead letters, or none that match"
    if reply.get("unreadable"):
        yield f"records of the error topics that aren't dead letters of this version: {reply['unreadable']}"
    yield from (f"fault: {fault}" for fault in reply["faults"])
    sendable = sum(row["letters"] for row in reply.get("letters", ()) if row["do"] == "redrive")
    if reply["state"] == "planned":
        yield f"dead letters that would be sent: {sendable}; none was sent; to send them, add --go"
    elif "redriven" in reply:
        yield f"dead letters sent to the source topic again: {reply['redriven']}"
