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
    # The imports below take a second. During the imports nothing has to be cleaned up, so Ctrl-C may end the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import shtab

from deployment import variables
from local_emulator import connectors, project
from local_emulator.cli import (
    audit_command,
    commands,
    cost_command,
    deploy_command,
    eventbridge_option,
    fault_command,
    letters_command,
    output,
    provision_command,
    queue_command,
    record_command,
    redrive_command,
    replay_command,
    send_command,
    status_command,
)
from local_emulator.cli import maxcompute_command as maxcompute
from local_emulator.cli.arguments import CommandParser, WrongArgumentsError, parse
from local_emulator.cli.progress import CONSOLE
from local_emulator.foundation import installation
from local_emulator.function_compute.pool import IDLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"  # noqa: SLF001 # has no public name

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
EPILOG = (
    "In a checkout of the project, the checkout's template.yml is deployed, and addresses and logs are in .local. "
    "Elsewhere, the project that was installed with this command is deployed, and addresses and logs are in "
    f"{installation.user_state()}."
)
LONGEST_NAMED = 60
"""The most characters of a wrong argument that a message repeats."""
KAFKA = "embedded (in this process), apache (a real broker; needs java and mvn), or host:port of your own broker"

OF_A_CONNECTOR = ("send", "replay", "provision", "audit", "redrive", "letters", "status")
"""The commands that speak to one connector."""
USE_SETTINGS = frozenset({"demo", "up", "deploy", "provision", "policy"})
"""The commands that read the template's settings."""
ANY_BYTES = {("send", "key"), ("send", "value")}
"""Options (command, name) that take any bytes; other options have to be UTF-8."""


def parser(prog: str = installation.COMMAND) -> CommandParser:
    """Return the parser of all commands and their options."""
    top = CommandParser(prog=prog, description=__doc__, epilog=EPILOG)
    top.set_defaults(json=False)
    top.add_argument("--version", action="version", version=f"{installation.NAME} {installation.version()}")
    subs = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_records(subs)
    _add_connector(subs)
    _add_maxcompute(subs)
    _add_planning(subs)
    for name in OF_A_CONNECTOR:
        connectors.add_argument(subs.choices[name])
    completion = subs.add_parser("completion", help=f"print a script with which a shell completes {installation.NAME}")
    completion.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    completion.set_defaults(run=print_completion)
    return top


def print_completion(options: argparse.Namespace) -> int:
    """Print a shell script that completes arguments without a call of this program; return 0."""
    script = shtab.complete(parser(installation.NAME), options.shell)
    if options.json:
        output.print_json({"shell": options.shell, "script": script})
    else:
        print(script)
    return 0


def _complete_paths(argument: argparse.Action, kind: object = shtab.FILE) -> None:
    """Let shells complete an argument with files or folders."""
    argument.complete = kind  # type: ignore[attr-defined] # shtab reads this attribute


def _add_records(subs: Commands) -> None:
    """Add the commands that start the cloud, and those that send and record data."""
    demo = subs.add_parser("demo", help="show the main job from end to end and check the rows (same as `make run`)")
    demo.add_argument("--kafka", default="embedded", metavar="BROKER", help=f"{KAFKA}; default: %(default)s")
    demo.set_defaults(run=commands.demo)

    up = subs.add_parser("up", help="start the local cloud and keep it running until Ctrl-C")
    up.add_argument("--kafka", default="embedded", metavar="BROKER", help=f"{KAFKA}; default: %(default)s")
    data = up.add_argument(
        "--data-dir", type=Path, metavar="FOLDER", help="keep tables and account in this folder; default: in memory"
    )
    _complete_paths(data, shtab.DIRECTORY)
    up.add_argument(
        "--empty", action="store_true", help="deploy nothing; print the variables for Serverless Devs and the SDKs"
    )
    eventbridge_option.add_argument(up)
    up.add_argument(
        "--idle-seconds",
        type=_whole_number(1),
        default=IDLE_SECONDS,
        metavar="SECONDS",
        help="end a function's instance after this time without a call; default: %(default)s",
    )
    up.set_defaults(run=commands.up)

    leading = subs.add_parser(
        "environment", help="print the variables that lead Serverless Devs and the SDKs to the running cloud"
    )
    leading.set_defaults(run=commands.print_environment)

    deploy = subs.add_parser(
        "deploy",
        help="deploy the template, with the present variables, into the running cloud, as Serverless Devs does",
    )
    deploy_command.add_arguments(deploy)
    deploy.set_defaults(run=deploy_command.run)

    send = subs.add_parser("send", help="send records to the source topic: one, the lines of a file, or made-up orders")
    _complete_paths(send_command.add_arguments(send, _whole_number))
    send.set_defaults(run=send_command.run)

    replay = subs.add_parser("replay", help="send recorded deliveries to the function again, and compare the outcomes")
    _complete_paths(replay_command.add_arguments(replay, _whole_number))
    replay.set_defaults(run=replay_command.run)

    record = subs.add_parser("record", help="write what the event stream delivered, with the outcomes, to a file")
    _complete_paths(record.add_argument("file", type=Path, help="the file to write; with the ending .gz in gzip"))
    record.add_argument("--count", type=_whole_number(1), help="the most deliveries; default: all")
    record.add_argument(
        "--seconds", type=_whole_number(1), default=5, help="end after so long without a delivery; default: %(default)s"
    )
    record.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    record.add_argument("--stream", metavar="NAME", help="an event stream's name; default: all streams")
    record.set_defaults(run=record_command.run)


def _add_connector(subs: Commands) -> None:
    """Add the commands that set up, check and repair the connector."""
    provision = subs.add_parser(
        "provision", help="let the provisioning function plan, apply, check or remove the connector"
    )
    provision_command.add_arguments(provision)
    provision.set_defaults(run=provision_command.run)

    audit = subs.add_parser("audit", help="check that every record is in the table or the error topic exactly once")
    audit_command.add_arguments(audit)
    audit.set_defaults(run=audit_command.run)

    letters = subs.add_parser("letters", help="list dead letters, and show what is in them")
    letters_command.add_arguments(letters)
    letters.set_defaults(run=letters_command.run)

    redrive = subs.add_parser("redrive", help="list dead letters, or send them to the source topic again")
    redrive_command.add_arguments(redrive)
    redrive.set_defaults(run=redrive_command.run)

    queue = subs.add_parser("queue", help="list the event stream's dead-letter queues, and their messages")
    queue_command.add_arguments(queue)
    queue.set_defaults(run=queue_command.run)

    policy = subs.add_parser("policy", help="print the least RAM policy that provisioning needs")
    policy.set_defaults(run=provision_command.print_policy)

    status = subs.add_parser("status", help="show the services, the stream's state and lag, and the table's row counts")
    status_command.add_arguments(status)
    status.set_defaults(run=status_command.run)


def _add_planning(subs: Commands) -> None:
    """Add the command that needs no cloud."""
    cost = subs.add_parser("cost", help="estimate settings and monthly costs for a rate of records")
    cost_command.add_arguments(cost)
    cost.set_defaults(run=cost_command.run)


def _add_maxcompute(subs: Commands) -> None:
    """Add the commands about the local MaxCompute."""
    sql = subs.add_parser("sql", help="run a statement on the local MaxCompute and print its answer")
    sql.add_argument("statement", help='for example: "show partitions test_kafka"')
    sql.set_defaults(run=commands.sql)

    alone = subs.add_parser("maxcompute", help="serve the MaxCompute emulator alone")
    maxcompute.add_arguments(alone)
    alone.set_defaults(run=maxcompute.run)

    fault = subs.add_parser("fault", help="make requests to the local MaxCompute or control plane fail")
    fault_command.add_arguments(fault)
    fault.set_defaults(run=fault_command.run)


def _whole_number(least: int) -> Callable[[str], int]:
    """Return a function that reads an option's whole number, `least` or more."""

    def read(text: str) -> int:
        number = int(text) if _DIGITS.fullmatch(text) else -1
        if number < least:
            named = repr(text) if len(text) <= LONGEST_NAMED else f"text of {len(text)} characters"
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to 10^18, found {named}")
        return number

    return read


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 if it succeeded, 1 if not, 2 for wrong arguments, 130 after Ctrl-C."""
    output.prepare()
    return output.run_and_flush(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _options(given)
    except WrongArgumentsError as error:
        if "--json" in given:
            output.print_json_line({"error": error.message})
        raise
    CONSOLE.stderr = options.json
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        if options.command in USE_SETTINGS:
            variables.check(project.template(), os.environ)
        return int(options.run(options))
    except (KeyboardInterrupt, SystemError) as end:
        # confluent-kafka raises SystemError for a Ctrl-C during one of librdkafka's callbacks.
        if not isinstance(end.__cause__ if isinstance(end, SystemError) else end, KeyboardInterrupt):
            raise
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise  # standard output is closed: nobody would read a message
    except commands.FAILURES as error:
        output.print_error(str(error))
        if options.json:
            output.print_json_line({"error": str(error)})
        return 1


def _options(given: Sequence[str]) -> argparse.Namespace:
    """Return a command's options; WrongArgumentsError."""
    commandline = parser()
    options = parse(commandline, given)
    for name, value in vars(options).items():
        if output.has_other_than_utf_8(value) and (options.command, name) not in ANY_BYTES:
            commandline.error(f"{name}: expected text in UTF-8, found other bytes")
    if options.command == "send" and (fault := send_command.fault(options)):
        commandline.error(fault)
    return options


def end_in_good_order() -> None:
    """Let Ctrl-C, a plain kill and a closed terminal end a command through every `finally`, so that it cleans up.

    Later signals are ignored, because they would interrupt the `finally`. In the background of a script and under
    nohup, SIGINT and SIGHUP are ignored from the start, and stay ignored.
    """
    ignored = {number for number in _ENDINGS if signal.getsignal(number) is signal.SIG_IGN}

    def end(*_: object) -> None:
        for number in set(_ENDINGS) - ignored:
            signal.signal(number, _ignore)
        raise KeyboardInterrupt

    for number in set(_ENDINGS) - ignored:
        signal.signal(number, end)
    if signal.SIGINT in ignored:
        # A child process inherits SIG_IGN, but no handler: so functions and brokers react to SIGINT as usual.
        signal.signal(signal.SIGINT, _ignore)


def _ignore(*_: object) -> None:
    """Do nothing."""


def command() -> int:
    """Run `kafka-maxcompute`, or `python -m local_emulator`; return the exit code."""
    end_in_good_order()
    return main()


if __name__ == "__main__":
    sys.exit(command())
