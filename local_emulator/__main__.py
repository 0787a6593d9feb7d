"""The local cloud's commands: `kafka-maxcompute`, or `python -m local_emulator`."""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if (__name__ == "__main__" or Path(sys.argv[0]).name == "kafka-maxcompute") and (
    signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
):
    # The imports below take a second. Until they are done there is nothing to clear away: Ctrl-C ends the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import shtab

from local_emulator import project, variables
from local_emulator.cli import audit_command, commands, fault_command, output, provision_command, redrive_command
from local_emulator.cli import maxcompute_command as maxcompute
from local_emulator.cli.arguments import parse
from local_emulator.foundation import installation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 # it has no other name

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
EPILOG = (
    "In a checkout of the project its template.yml is deployed, and addresses and logs are in .local there. Elsewhere "
    f"what came with this command is deployed, and addresses and logs are in {installation.user_state()}."
)
LONGEST_NAMED = 60
"""Characters of a wrong argument that a message repeats."""
KAFKA = "embedded (in this process), apache (a real broker; needs java and mvn), or host:port of your own"

ANY_BYTES = {("send", "key"), ("send", "value")}
"""Options that take bytes as they are; others are text, or name a file."""


def parser(prog: str = installation.COMMAND) -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog=prog, description=__doc__, epilog=EPILOG, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"{installation.NAME} {installation.version()}")
    subs = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_records(subs)
    _add_connector(subs)
    _add_maxcompute(subs)
    completion = subs.add_parser("completion", help=f"print what has a shell complete {installation.NAME}'s arguments")
    completion.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    completion.set_defaults(run=print_completion)
    return top


def print_completion(options: argparse.Namespace) -> int:
    """Write a shell's own program: it runs nothing of this one when it completes."""
    print(shtab.complete(parser(installation.NAME), options.shell))
    return 0


def _completed(argument: argparse.Action, kind: object = shtab.FILE) -> None:
    """Let shells complete an argument with files or folders."""
    argument.complete = kind  # type: ignore[attr-defined] # it's shtab's own


def _add_records(subs: Commands) -> None:
    """What starts the cloud, and what goes through it."""
    demo = subs.add_parser("demo", help="show the main job from end to end and check it (what `make run` does)")
    demo.add_argument("--kafka", default="embedded", metavar="BROKER", help=f"{KAFKA}; default: %(default)s")
    demo.set_defaults(run=commands.demo)

    up = subs.add_parser("up", help="start the local cloud and keep it running until Ctrl-C")
    up.add_argument("--kafka", default="embedded", metavar="BROKER", help=f"{KAFKA}; default: %(default)s")
    data = up.add_argument(
        "--data-dir", type=Path, metavar="FOLDER", help="keep tables and account there; default: in memory"
    )
    _completed(data, shtab.DIRECTORY)
    up.set_defaults(run=commands.up)

    send = subs.add_parser("send", help="send a test message (or many orders) to the source topic")
    send.add_argument("--key", help="the message's key; default: none")
    send.add_argument("--value", help="the message's content; default: none, which is a tombstone")
    send.add_argument("--partition", type=_from(0), help="the topic-partition; default: by the key")
    send.add_argument(
        "--orders", type=_from(1), metavar="COUNT", help="send so many generated orders instead; takes no other option"
    )
    send.set_defaults(run=commands.send)

    replay = subs.add_parser("replay", help="give recorded batches straight to the function")
    _completed(replay.add_argument("file", nargs="+", type=Path, help="a recorded batch: a JSON array of events"))
    replay.set_defaults(run=commands.replay)

    record = subs.add_parser("record", help="write the topic's oldest records to a file, as a batch of the stream")
    _completed(record.add_argument("file", type=Path, help="the file to write"))
    record.add_argument("--count", type=_from(1), default=1000, help="records at most; default: %(default)s")
    record.add_argument("--seconds", type=_from(1), default=5, help="how long to wait for more; default: %(default)s")
    record.set_defaults(run=commands.record)


def _add_connector(subs: Commands) -> None:
    """What becomes of the connector."""
    provision = subs.add_parser(
        "provision", help="let the provisioning function plan, apply, look at or end the connector"
    )
    provision_command.add_arguments(provision)
    provision.set_defaults(run=provision_command.run)

    audit = subs.add_parser("audit", help="say whether every record is in the table or the error topic, once")
    audit_command.add_arguments(audit)
    audit.set_defaults(run=audit_command.run)

    redrive = subs.add_parser("redrive", help="send dead letters to the source topic again, or say which it would be")
    redrive_command.add_arguments(redrive)
    redrive.set_defaults(run=redrive_command.run)

    policy = subs.add_parser("policy", help="print the least policy of whoever provisions, for RAM")
    policy.set_defaults(run=provision_command.print_policy)

    status = subs.add_parser("status", help="show where everything listens and how far the stream is")
    status.set_defaults(run=commands.status)


def _add_maxcompute(subs: Commands) -> None:
    """What is asked of the local MaxCompute, and served without the rest."""
    sql = subs.add_parser("sql", help="run a statement on the local MaxCompute and draw its answer")
    sql.add_argument("statement", help='for example: "show partitions test_kafka"')
    sql.set_defaults(run=commands.sql)

    alone = subs.add_parser("maxcompute", help="serve the MaxCompute emulator alone")
    maxcompute.add_arguments(alone)
    alone.set_defaults(run=maxcompute.run)

    fault = subs.add_parser("fault", help="let requests to the local MaxCompute go wrong")
    fault_command.add_arguments(fault)
    fault.set_defaults(run=fault_command.run)


def _from(least: int) -> Callable[[str], int]:
    """What reads an option's whole number, which is so much at least."""

    def read(text: str) -> int:
        number = int(text) if _DIGITS.fullmatch(text) else -1
        if number < least:
            found = repr(text) if len(text) <= LONGEST_NAMED else f"text of {len(text)} characters"
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to 10^18, found {found}")
        return number

    return read


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did what it says, 1 if not, 2 for a wrong use, 130 after Ctrl-C."""
    output.prepare()
    return output.run_and_flush(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    commandline = parser()
    options = parse(commandline, arguments)
    for name, value in vars(options).items():
        if output.has_other_than_utf_8(value) and (options.command, name) not in ANY_BYTES:
            commandline.error(f"{name}: expected text in UTF-8, found other bytes")
    if options.command == "send" and options.orders and {options.key, options.value, options.partition} != {None}:
        commandline.error("send --orders makes its own keys, values and topic-partitions; leave the other options out")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        if options.command in variables.COMMANDS:
            variables.check(project.template(), os.environ)
        return int(options.run(options))
    except (KeyboardInterrupt, SystemError) as end:
        # Ctrl-C in the middle of a callback of librdkafka's comes out of confluent-kafka as a SystemError.
        if not isinstance(end.__cause__ if isinstance(end, SystemError) else end, KeyboardInterrupt):
            raise
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise  # of standard output: nobody is there to be told
    except commands.FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def end_in_good_order() -> None:
    """Let Ctrl-C, a plain kill and a closed terminal end a command through every `finally`, so that nothing is left.

    What comes after the first of them is ignored: it would end the `finally`. In the background of a script and under
    nohup, SIGINT and SIGHUP are ignored from the start, and stay so.
    """
    ignored = {number for number in _ENDINGS if signal.getsignal(number) is signal.SIG_IGN}

    def end(*_: object) -> None:
        for number in set(_ENDINGS) - ignored:
            signal.signal(number, _ignore)
        raise KeyboardInterrupt

    for number in set(_ENDINGS) - ignored:
        signal.signal(number, end)
    if signal.SIGINT in ignored:
        # A handler isn't inherited, unlike SIG_IGN: functions and brokers have the usual signals.
        signal.signal(signal.SIGINT, _ignore)


def _ignore(*_: object) -> None:
    """Do nothing."""


def command() -> int:
    """What runs as `kafka-maxcompute`, and as `python -m local_emulator`; the exit code."""
    end_in_good_order()
    return main()


if __name__ == "__main__":
    sys.exit(command())
