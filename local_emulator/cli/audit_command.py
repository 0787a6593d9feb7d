"""`python -m local_emulator audit`: whether every record is in the table or the error topic, once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local_emulator import endpoints, provisioner
from local_emulator.cli.progress import CONSOLE
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
    """The command's options."""
    parser.description = (
        "Compare the table, the ledger, the error topic and the topic's log; 1 where anything is wrong."
    )
    parser.add_argument("--json", action="store_true", help="print the reply as it is")
    parser.add_argument("--sql", action="store_true", help="print the query that reads the table, too")


def run(options: argparse.Namespace) -> int:
    """Ask the provisioning function, and draw its reply; 1 on any finding, or where it couldn't look at everything."""
    reply = provisioner.invoke(endpoints.read(), {"action": "audit"})
    shown = [json.dumps(reply, indent=2, ensure_ascii=False)] if options.json else lines(reply, sql=options.sql)
    for line in shown:
        CONSOLE.print(line)
    return int(provisioner.undone(reply))


def lines(reply: Mapping[str, Any], *, sql: bool = False) -> Iterator[str]:
    """The reply for a person."""
    if sql and "statement" in reply:
        yield from reply["statement"].splitlines()
    examined = reply.get("topic_partitions", ())
    if examined:
        yield f"topic {examined[0]['topic']}"
        names = [name.replace("_", " ") for name in COLUMNS]
        yield from draw(names, [[one[name] for name in COLUMNS] for one in examined])
    if reply.get("pending"):
        yield f"claims that are pending: {', '.join(reply['pending'])}"
    yield from (f"fault: {fault}" for fault in reply["faults"])
    yield from (f"doubt: {doubt}" for doubt in reply.get("doubts", ()))
    yield str(reply["state"])
