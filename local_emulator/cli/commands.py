"""The commands that need no file of their own; each function takes its parsed options and returns the exit code."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from odps.errors import ODPSError

from deployment.dotenv import VariablesFileError
from deployment.variables import VariablesError
from local_emulator import cloud, endpoints, project
from local_emulator.cli import demo as demonstration
from local_emulator.cli import provision_command, sql_answers, topic
from local_emulator.cli.fault_command import FaultCommandError
from local_emulator.cli.progress import CONSOLE, step
from local_emulator.cli.text_table import draw
from local_emulator.endpoints import AlreadyRunningError, NotRunningError
from local_emulator.eventbridge import recording
from local_emulator.eventbridge.errors import InvocationError, RecordingError, StreamConfigError, StreamError
from local_emulator.eventbridge.invocation import Invoker
from local_emulator.eventbridge.progress import Meter, StreamStatus
from local_emulator.foundation import installation
from local_emulator.function_compute.errors import MissingLayerError, TemplateError
from local_emulator.kafka.consumer_group import committed_offsets
from local_emulator.kafka.errors import BrokerError, ProduceError
from local_emulator.kafka.orders import SPAN_MS, orders
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from local_emulator.kafka.topics import count_partitions
from local_emulator.maxcompute.errors import DatabaseBusyError
from local_emulator.provisioner import ProvisioningError
from local_emulator.sizing import SizingError

if TYPE_CHECKING:
    from argparse import Namespace

    from local_emulator.cloud import Cloud
    from local_emulator.endpoints import Endpoints

# Errors that a user can fix: a command reports each as one message, without a traceback.
FAILURES = (
    AlreadyRunningError,
    BrokerError,
    DatabaseBusyError,
    FaultCommandError,
    InvocationError,
    MissingLayerError,
    NotRunningError,
    ODPSError,
    OSError,
    ProduceError,
    ProvisioningError,
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
    return 0 if demonstration.show(options.kafka) else 1


def up(options: Namespace) -> int:
    """Run the local cloud with the template and the user's own settings until Ctrl-C."""
    endpoints.refuse_second()
    with cloud.start(
        options.kafka,
        project.environment(),
        data_dir=options.data_dir,
        event_bridge=options.eventbridge,
        say=CONSOLE.print,
    ) as running:
        at = running.endpoints
        CONSOLE.print(f"Stream            {at.topic} as {at.group}")
        CONSOLE.print(f"Logs              {installation.logs()}/{at.function}.log, {at.provisioner}.log\n")
        if running.paused:
            CONSOLE.print(f"The stream is paused. To resume it: {installation.COMMAND} provision apply")
        elif provision_command.carry_out(at, {"action": "apply", "create_table": True}):
            CONSOLE.print(
                "\nThe connector isn't complete. Fix what the lines above report, then run: "
                f"{installation.COMMAND} provision apply"
            )
        at.write()
        try:
            CONSOLE.print(
                f"\nReady; Ctrl-C stops the cloud. In another terminal: {installation.COMMAND} send --value hello"
            )
            return _watch(running)
        finally:
            at.remove()


def _watch(running: Cloud) -> int:
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
        printed = progress
        time.sleep(WATCH_SECONDS)


def send(options: Namespace) -> int:
    """Send one message, or many orders, and print where they were stored."""
    at = endpoints.read()
    if options.orders is None:
        message = Record(options.partition, None, _encoded(options.key), _encoded(options.value))
        sent = produce(at.kafka, at.topic, [message])
        (partition, offsets), *_ = sent.items()
        CONSOLE.print(f"sent to {at.topic}, topic-partition {partition}, offset {offsets.last}")
        _say_when_delivered(at)
        return 0
    topic_partitions = count_partitions(at.kafka, at.topic)
    messages = orders(options.orders, topic_partitions, start_ms=int(time.time() * 1000) - SPAN_MS)
    with committed_offsets(at.kafka, at.group, at.topic) as delivered, step("sent", options.orders) as report:
        produce(at.kafka, at.topic, messages, retention_bytes=at.retention_bytes, delivered=delivered, report=report)
    _say_when_delivered(at)
    return 0


def _say_when_delivered(at: Endpoints) -> None:
    seconds = at.stream_config().batch_seconds
    CONSOLE.print(f"the stream invokes the sink within {seconds} s (its batch window); then the rows are in the table")


def _encoded(text: str | None) -> bytes | None:
    # The bytes of the command line as they are, UTF-8 or not: a record may hold any bytes.
    return None if text is None else os.fsencode(text)


def replay(options: Namespace) -> int:
    """Invoke the function with each file's batch; print its replies."""
    at = endpoints.read()
    invoke = Invoker(at.functions, at.function, access_key_id=at.access_id, access_key_secret=at.access_key)
    for file in options.file:
        for delivery in recording.read(file):
            with step(f"replayed {file.name}", delivery.events) as report:
                reply = invoke(delivery.body.encode())
                report(delivery.events)
            CONSOLE.print(f"  {reply.body.decode()}")
    return 0


def sql(options: Namespace) -> int:
    """Run a statement and print its answer."""
    for line in sql_answers.run(sql_answers.connect(endpoints.read()), options.statement):
        CONSOLE.print(line)
    return 0


def status(_: Namespace) -> int:
    """Print the endpoints, the stream's lag and the table's row counts."""
    at = endpoints.read()
    CONSOLE.print(f"Kafka             {at.kafka}")
    CONSOLE.print(f"MaxCompute        {at.maxcompute} (project {at.project}, table {at.table})")
    CONSOLE.print(f"Control plane     {at.control}")
    CONSOLE.print(f"Function Compute  {at.functions} ({at.function}, {at.provisioner})")
    CONSOLE.print(f"\nThe stream, group {at.group}")
    lags = topic.lags(at)
    rows: list[list[object]] = [[at.topic, lag.partition, lag.end, lag.committed, lag.behind] for lag in lags]
    _draw(["topic", "partition", "log end", "delivered", "lag"], rows)
    for loss in filter(None, (lag.describe_loss(at.topic) for lag in lags)):
        CONSOLE.print(f"{loss}; see: {installation.COMMAND} audit")
    CONSOLE.print(f"\nThe table {at.project}.{at.table}")
    _draw(["pt", "rows"], _row_counts(at))
    return 0


def _row_counts(at: Endpoints) -> list[list[object]]:
    statement = f"select pt, count(*) from {at.table} group by pt order by pt limit 1000"  # noqa: S608 - a name
    with sql_answers.connect(at).execute_sql(statement).open_reader(tunnel=True) as reader:
        return [list(record.values) for record in reader]


def _draw(names: list[str], rows: list[list[object]]) -> None:
    for line in draw(names, rows):
        CONSOLE.print(line)
