"""`python -m local_emulator audit`: check that every record is in the table or the error topic exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_emulator import connectors, provisioner
from local_emulator.cli.output import print_json, print_lines
from local_emulator.cli.text_table import draw

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

COLUMNS = (
    "partition",
    "begin",
    "end",
    "committed",
    "rows",
    "dead_letters",
    "settled",
    "waiting",
    "unverifiable",
    "wrong",
    "unclear",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = (
        "Compare the table, the ledger, the error topic and the source topic's log. "
        "The exit code is 1 if the audit finds a fault or can't check everything."
    )
    parser.add_argument("--sql", action="store_true", help="also print the query that reads the table")


def run(options: argparse.Namespace) -> int:
    """Invoke the provisioning function and print its reply; return 1 on a fault or an incomplete audit."""
    reply = provisioner.invoke(connectors.read(options), {"action": "audit"})
    if options.json:
        print_json(reply)
    else:
        print_lines(lines(reply, sql=options.sql))
    return int(provisioner.has_failed(reply))


def lines(reply: Mapping[str, Any], *, sql: bool = False) -> Iterator[str]:
    """Yield the reply as lines for a person."""
    if sql and "statement" in reply:
        yield from reply["statement"].splitlines()
    topic_partitions = reply.get("topic_partitions", ())
    if topic_partitions:
        yield f"topic {topic_partitions[0]['topic']}"
        names = [name.replace("_", " ") for name in COLUMNS]
        yield from draw(names, [[audited[name] for name in COLUMNS] for audited in topic_partitions])
    if reply.get("pending"):
        yield f"pending claims: {', '.join(reply['pending'])}"
    yield from (f"fault: {fault}" for fault in reply["faults"])
    yield from (f"doubt: {doubt}" for doubt in reply.get("doubts", ()))
    yield str(reply["state"])
