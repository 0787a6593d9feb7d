"""The commands that need no file of their own; each function takes its parsed options and returns the exit code."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from odps.errors import ODPSError

from deployment.dotenv import VariablesFileError
from deployment.variables import VariablesError
from local_emulator import endpoints, environment, project
from local_emulator.cli import demo as demonstration
from local_emulator.cli import provision_command, sql_answers
from local_emulator.cli.fault_command import FaultCommandError
from local_emulator.cli.output import print_json, print_json_line, print_lines
from local_emulator.cli.progress import CONSOLE
from local_emulator.cli.replay_command import ReplayError
from local_emulator.connectors import ConnectorError
from local_emulator.deployer import DeploymentError
from local_emulator.endpoints import AlreadyRunningError, NotRunningError, OtherVersionError
from local_emulator.eventbridge.errors import InvocationError, RecordingError, StreamConfigError, StreamError
from local_emulator.eventbridge.progress import Meter, StreamStatus
from local_emulator.foundation import installation
from local_emulator.function_compute.errors import MissingLayerError, TemplateError
from local_emulator.kafka.errors import BrokerError, ProduceError
from local_emulator.management import ManagementError
from local_emulator.maxcompute.errors import DatabaseBusyError
from local_emulator.provisioner import ProvisioningError
from local_emulator.sizing import SizingError

if TYPE_CHECKING:
    from argparse import Namespace

    from local_emulator.cloud import Cloud

# Errors that a user can fix: a command reports each as one message, without a traceback.
FAILURES = (
    AlreadyRunningError,
    BrokerError,
    ConnectorError,
    DatabaseBusyError,
    DeploymentError,
    FaultCommandError,
    InvocationError,
    ManagementError,
    MissingLayerError,
    NotRunningError,
    ODPSError,
    OSError,
    OtherVersionError,
    ProduceError,
    ProvisioningError,
    ReplayError,
    RecordingError,
    SizingError,
    StreamConfigError,
    StreamError,
    TemplateError,
    VariablesError,
    VariablesFileError,
    sql_answers.StatementError,
)
WATCH_SECONDS = 0.5


def demo(options: Namespace) -> int:
    """Show the main job (`make run`); return 0 if its check holds."""
    outcome = demonstration.show(options.kafka)
    if options.json:
        print_json(asdict(outcome))
    return 0 if outcome.complete else 1


def up(options: Namespace) -> int:
    """Run the local cloud with the template and the user's own settings until Ctrl-C."""
    from local_emulator import cloud  # noqa: PLC0415 # a second of imports, which no other command needs

    endpoints.refuse_second()
    with cloud.start(
        options.kafka,
        project.environment(),
        data_dir=options.data_dir,
        event_bridge=options.eventbridge,
        idle_seconds=options.idle_seconds,
        empty=options.empty,
        say=CONSOLE.print,
    ) as running:
        at = running.endpoints
        if options.empty:
            return _wait_empty(running, as_json=options.json)
        CONSOLE.print(f"Stream            {at.topic} as {at.group}")
        CONSOLE.print(f"Logs              {installation.logs()}/{at.function}.log, {at.provisioner}.log\n")
        if running.paused:
            CONSOLE.print(f"The stream is paused. To resume it: {installation.COMMAND} provision apply")
        elif provision_command.carry_out(at, {"action": "apply", "create_table": True}):
            CONSOLE.print(
                "\nThe connector isn't complete. Fix what the lines above report, then run: "
                f"{installation.COMMAND} provision apply"
            )
        with at.published():
            CONSOLE.print(
                f"\nReady; Ctrl-C stops the cloud. In another terminal: {installation.COMMAND} send --value hello"
            )
            if options.json:
                print_json_line({"state": "ready", **at.addresses()})
            return _watch(running, as_json=options.json)


def _wait_empty(running: Cloud, *, as_json: bool) -> int:
    """Print how clients reach a cloud without functions, then what its stream delivers, until Ctrl-C."""
    at = running.endpoints
    CONSOLE.print(f"Logs              {installation.logs()}\n")
    for line in environment.lines(at):
        CONSOLE.print(line)
    with at.published():
        CONSOLE.print(
            f'\nReady; Ctrl-C stops the cloud. In another terminal: eval "$({installation.COMMAND} environment)", '
            "then s deploy -t template.yml"
        )
        if as_json:
            print_json_line({"state": "ready", **at.addresses()})
        return _watch(running, as_json=as_json)


def print_environment(options: Namespace) -> int:
    """Print the variables that lead clients to the running cloud, as lines for a shell."""
    at = endpoints.read()
    if options.json:
        print_json(environment.variables(at))
    else:
        for line in environment.lines(at):
            print(line)
    return 0


def _watch(running: Cloud, *, as_json: bool) -> int:
    """Print what the stream delivers and each change of its state, until Ctrl-C."""
    printed = Meter(StreamStatus.RUNNING).read()
    while True:
        progress = running.stream.progress() if running.stream else printed
        if progress.state is not printed.state:
            CONSOLE.print(f"the stream is {progress.state.value}" + (f": {progress.reason}" if progress.reason else ""))
        if (progress.events, progress.failed_invocations) != (printed.events, printed.failed_invocations):
            failures = progress.failed_invocations
            failed = f", {failures:,} failed invocations (see the log)" if failures else ""
            CONSOLE.print(
                f"delivered since the stream started: {progress.events:,} records, {progress.batches:,} batches{failed}"
            )
        if as_json and progress != printed:
            counts = {"records": progress.events, "batches": progress.batches, "failed": progress.failed_invocations}
            print_json_line({"state": progress.state.value, "reason": progress.reason, **counts})
        printed = progress
        time.sleep(WATCH_SECONDS)


def sql(options: Namespace) -> int:
    """Run a statement and print its answer."""
    answer = sql_answers.ask(sql_answers.connect(endpoints.read()), options.statement)
    if options.json:
        print_json(answer.as_json())
    else:
        print_lines(answer.lines())
    return 0
