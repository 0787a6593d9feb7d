"""`python -m local_emulator queue`: the dead-letter queues of event streams, and their messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_emulator import endpoints
from local_emulator.cli.fault_command import FaultCommandError
from local_emulator.cli.output import print_json, print_lines
from local_emulator.cli.own_api import request
from local_emulator.cli.progress import CONSOLE
from local_emulator.cli.text_table import draw, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from local_emulator.endpoints import Endpoints

PAGE = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = (
        "List the dead-letter queues that event streams of the local cloud name, or the messages of one queue. "
        "The connector's own dead letters are in its error topic; these are batches that the stream gave up."
    )
    parser.add_argument("queue", nargs="?", help="a queue's ARN or the last part of it; default: list the queues")
    parser.add_argument("--bodies", action="store_true", help="also print the messages' contents, which are payloads")
    parser.add_argument("--clear", action="store_true", help="delete the queue's messages")


def run(options: argparse.Namespace) -> int:
    """List queues or messages, or delete a queue's messages; return 0."""
    at = endpoints.read()
    queues = request(at, "GET", "dead-letters")["queues"]
    if options.queue is None:
        _print_queues(queues, as_json=options.json)
        return 0
    arn = _resolve(options.queue, [queue["arn"] for queue in queues])
    if options.clear:
        deleted = request(at, "DELETE", "dead-letters", arn=arn)["deleted"]
        CONSOLE.print(f"deleted {deleted:,} messages of {arn}")
        if options.json:
            print_json({"arn": arn, "deleted": deleted})
        return 0
    messages = _messages(at, arn)
    if options.json:
        print_json({"arn": arn, "messages": list(messages)})
        return 0
    for message in messages:
        CONSOLE.print(f"{message['number']}  {message['time']}  {message['stream']}: {message['records']}")
        CONSOLE.print(f"   {message['reason']}")
        if options.bodies:
            CONSOLE.print(f"   {printable(message['body'])}")
    return 0


def _messages(at: Endpoints, arn: str) -> Iterator[dict[str, Any]]:
    after = 0
    while page := request(at, "GET", "dead-letters", arn=arn, after=after, limit=PAGE)["messages"]:
        yield from page
        after = page[-1]["number"]


def _resolve(name: str, arns: list[str]) -> str:
    matching = [arn for arn in arns if name in {arn, arn.rpartition("/")[2]}]
    if len(matching) != 1:
        known = ", ".join(arns) or "no queues: no running stream names one"
        raise FaultCommandError(f"expected a queue's ARN or the last part of it, found {name!r}; there are {known}")
    return matching[0]


def _print_queues(queues: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"queues": queues})
    elif not queues:
        CONSOLE.print("no event stream names a dead-letter queue (deadLetterQueue, with errorsTolerance ALL)")
    else:
        rows = [[queue["arn"], queue["messages"], queue["dropped"]] for queue in queues]
        print_lines(draw(["queue", "messages", "dropped"], rows, longest=200))
