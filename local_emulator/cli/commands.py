"""What each command of `python -m local_emulator` does; each takes its parsed options and returns the exit code."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from odps.errors import ODPSError

from local_emulator import cloud, endpoints
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
from local_emulator.variables import VariablesError

if TYPE_CHECKING:
    from argparse import Namespace

    from local_emulator.cloud import Cloud
    from local_emulator.endpoints import Endpoints

# What a command may end with that a user can fix: shown as one message, without a traceback.
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
    StreamConfigError,
    StreamError,
    TemplateError,
    VariablesError,
    sql_answers.StatementError,
)
WATCH_SECONDS = 0.5


def demo(options: Namespace) -> int:
    """`make run`."""
    return 0 if demonstration.show(options.kafka) else 1


def up(options: Namespace) -> int:
    """Run the local cloud with the template and the user's own settings until Ctrl-C."""
    endpoints.refuse_second()
    with cloud.start(options.kafka, os.environ, data_dir=options.data_dir, say=CONSOLE.print) as running:
        at = running.endpoints
        CONSOLE.print(f"Stream            {at.topic} as {at.group}")
        CONSOLE.print(f"Logs              {installation.logs()}/{at.function}.log, {at.provisioner}.log\n")
        if running.paused:
            CONSOLE.print(f"The stream is paused, and stays so until: {installation.COMMAND} provision apply")
        elif provision_command.carry_out(at, {"action": "apply", "create_table": True}):
            CONSOLE.print(f"\nThe connector isn't complete: fix that, then: {installation.COMMAND} provision apply")
        at.write()
        try:
            CONSOLE.print(f"\nReady; Ctrl-C ends it. In another terminal: {installation.COMMAND} send --value hello")
            return _watch(running)
        finally:
            at.remove()


def _watch(running: Cloud) -> int:
    """Say what the stream delivers, and when it comes to another state, which the provisioning function can change."""
    shown = Meter(StreamStatus.RUNNING).read()
    while True:
        now = running.stream.progress() if running.stream else shown
        if now.state is not shown.state:
            CONSOLE.print(f"the stream is {now.state.value}" + (f": {now.reason}" if now.reason else ""))
        if (now.events, now.failed_invocations) != (shown.events, shown.failed_invocations):
            failed = f", {now.failed_invocations:,} failed invocations (see the log)" if now.failed_invocations else ""
            CONSOLE.print(f"delivered since it started: {now.events:,} records, {now.batches:,} batches{failed}")
        shown = now
        time.sleep(WATCH_SECONDS)


def send(options: Namespace) -> int:
    """Send one message, or many orders, and say where they went."""
    at = endpoints.read()
    if options.orders is None:
        message = Record(options.partition, None, _encoded(options.key), _encoded(options.value))
        sent = produce(at.kafka, at.topic, [message])
        (partition, part), *_ = sent.items()
        CONSOLE.print(f"sent to {at.topic}, topic-partition {partition}, offset {part.last}")
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
    CONSOLE.print(f"the stream's batch window closes after {seconds} s at the latest; then the rows are in the table")


def _encoded(text: str | None) -> bytes | None:
    # The bytes of the command line, whatever they are: a record may hold any.
    return None if text is None else os.fsencode(text)


def replay(options: Namespace) -> int:
    """Give each file's batch to the function; show its replies."""
    at = endpoints.read()
    invoke = Invoker(at.functions, at.function, access_key_id=at.access_id, access_key_secret=at.access_key)
    for file in options.file:
        body = recording.read(file)
        count = recording.count(body)
        with step(f"replayed {file.name}", count) as report:
            reply = invoke(body)
            report(count)
        CONSOLE.print(f"  {reply.decode()}")
    return 0


def record(options: Namespace) -> int:
    """Write a batch of the topic to a file."""
    at = endpoints.read()
    batch = topic.read_batch(at, options.count, options.seconds)
    if batch is None:
        CONSOLE.print(f"the topic {at.topic} holds no records; send some: {installation.COMMAND} send --orders 100")
        return 1
    recording.write(options.file, batch)
    CONSOLE.print(f"wrote {options.file}: {batch}")
    return 0


def sql(options: Namespace) -> int:
    """Run a statement."""
    for line in sql_answers.run(sql_answers.connect(endpoints.read()), options.statement):
        CONSOLE.print(line)
    return 0


def status(_: Namespace) -> int:
    """Show the endpoints, the stream's lag and the rows."""
    at = endpoints.read()
    CONSOLE.print(f"Kafka             {at.kafka}")
    CONSOLE.print(f"MaxCompute        {at.maxcompute} (project {at.project}, table {at.table})")
    CONSOLE.print(f"Control plane     {at.control}")
    CONSOLE.print(f"Function Compute  {at.functions} ({at.function}, {at.provisioner})")
    CONSOLE.print(f"\nThe stream, group {at.group}")
    lags = topic.lags(at)
    rows: list[list[object]] = [[at.topic, lag.partition, lag.end, lag.committed, lag.behind] for lag in lags]
    _draw(["topic", "partition", "log end", "delivered", "lag"], rows)
    for lost in filter(None, (lag.lost(at.topic) for lag in lags)):
        CONSOLE.print(f"{lost}; see: {installation.COMMAND} audit")
    CONSOLE.print(f"\nThe table {at.project}.{at.table}")
    _draw(["pt", "rows"], _row_counts(at))
    return 0


def _row_counts(at: Endpoints) -> list[list[object]]:
    statement = f"select pt, count(*) from {at.table} group by pt order by pt limit 1000"  # noqa: S608 - a name
    with sql_answers.connect(at).execute_sql(statement).open_reader(tunnel=True) as reader:
        return [list(found.values) for found in reader]


def _draw(names: list[str], rows: list[list[object]]) -> None:
    for line in draw(names, rows):
        CONSOLE.print(line)
