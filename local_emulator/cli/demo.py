"""`make run`: shows the main job on the local cloud, from Kafka to the table, and counts the rows."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emulator.batches.making import ORDERS_FILE
from local_emulator.cli import provision_command, sql_answers
from local_emulator.cli.output import print_lines
from local_emulator.cli.progress import CONSOLE, step
from local_emulator.cli.text_table import draw
from local_emulator.cli.topic import read_batch
from local_emulator.foundation import installation
from local_emulator.kafka.broker import is_own
from local_emulator.kafka.orders import TEST_MESSAGE, orders
from local_emulator.kafka.producer import produce
from local_emulator.kafka.topics import count_partitions
from local_emulator.provisioner import ProvisioningError

if TYPE_CHECKING:
    from odps import ODPS

    from local_emulator.cloud import Cloud
    from local_emulator.eventbridge.stream import EventStream
    from local_emulator.kafka.producer import Sent

ORDERS = 50_000
# The demo fails if the stream delivers nothing for so long; the stream's window alone may wait 15 s.
STALLED_SECONDS = 60.0
# On a busy machine the embedded broker's group may need several rebalances of seven seconds.
START_SECONDS = 120.0
# The template's window of 10 s is for long runs; the demo's last batch would wait for the window's end.
WINDOW = {"BATCH_SECONDS": "1"}
OF_THE_WINDOW = "upload sessions in 5 minutes"
"""Part of the warning that a user with such a window would get; the demo doesn't run so long."""
# The user's own broker also holds the records of earlier runs.
OWN_BROKER = {"CONNECTOR_CONSUMER_OFFSET": "latest"}
AGAIN, AGAIN_SECONDS = 1_000, 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The demo's result; `complete` says whether every sent record is in the table exactly once."""

    complete: bool
    seconds: float
    records: int
    rows: int


def show(kafka: str) -> Outcome:
    """Run the demo, print what happens, and return the result."""
    from local_emulator import cloud  # noqa: PLC0415 # a second of imports, which no other command needs

    begun = time.monotonic()
    CONSOLE.print("The local cloud")
    settings = WINDOW | (OWN_BROKER if is_own(kafka) else {})
    with cloud.start(kafka, settings, say=lambda part: CONSOLE.print(f"  {part}")) as running:
        stream = _provision(running)
        client = sql_answers.connect(running.endpoints)
        sent = _send(running, stream)
        replayed = _replay(running)
        dropped = _deliver_again(running, sent, own=is_own(kafka))
        _show_rows(client, running)
        right, records, rows = _check(client, running, sent, replayed)
        if is_own(kafka):
            _clean_up(running)
    outcome = Outcome(right and dropped, round(time.monotonic() - begun, 1), records, rows)
    verdict = "The check holds" if outcome.complete else "THE CHECK FAILED"
    print_lines([f"\n{verdict} ({outcome.seconds:.1f} s in all)."])
    return outcome


def _provision(running: Cloud) -> EventStream:
    """Print what `bootstrap` created, let the provisioning function create the rest, return the stream it started."""
    CONSOLE.print("\nBefore the deployment, with the account owner's access key (make bootstrap)")
    for line in (*running.bootstrapped["done"], *running.bootstrapped["for_the_projects_owner"]):
        CONSOLE.print(f"  {line}")
    at = running.endpoints
    CONSOLE.print(f"\nThe function {at.provisioner} provisions the connector into {at.project}.{at.table}")
    for action in ("plan", "apply"):
        event = {"action": action, "create_table": True}
        CONSOLE.print(f"\n> {json.dumps(event)}")
        failed = provision_command.carry_out(at, event, without_warning=OF_THE_WINDOW)
    stream = running.stream
    if failed or stream is None:
        raise ProvisioningError(f"the connector isn't complete; see {installation.logs()}/{at.provisioner}.log")
    return stream


def _send(running: Cloud, stream: EventStream) -> dict[int, Sent]:
    """Send the test message and the orders while the stream delivers; return what each topic-partition got."""
    topic, total, broker = running.endpoints.topic, ORDERS + 1, running.account.broker
    CONSOLE.print(f"\nFrom the topic {topic} through the stream into the function")
    stream.await_start(START_SECONDS)
    # On the user's own broker the topic may exist already, with another number of topic-partitions.
    topic_partitions = count_partitions(broker.bootstrap_servers, topic)
    begun = time.monotonic()
    with step("sent to Kafka", total) as report:
        sent = produce(
            broker.bootstrap_servers,
            topic,
            itertools.chain([TEST_MESSAGE], orders(ORDERS, topic_partitions)),
            retention_bytes=broker.retention_bytes,
            delivered=stream.delivered,
            stalled_seconds=STALLED_SECONDS,
            report=report,
        )
    targets = {(topic, partition): offsets.last + 1 for partition, offsets in sent.items()}
    with step("delivered into the table", total, since=begun) as report:
        stream.await_delivery(targets, STALLED_SECONDS, report=lambda progress: report(min(total, progress.events)))
    progress = stream.progress()
    CONSOLE.print(f"  {progress.batches:,} batches, {progress.failed_invocations:,} failed invocations")
    return sent


def _replay(running: Cloud) -> int:
    """Invoke the function with the recorded batch; return the batch's number of records."""
    CONSOLE.print(f"\nA recorded batch, {ORDERS_FILE.name}, goes directly to the function")
    body = ORDERS_FILE.read_bytes()
    count = len(json.loads(body))
    with step("replayed", count) as report:
        running.invoke(body)
        report(count)
    return count


def _deliver_again(running: Cloud, sent: dict[int, Sent], *, own: bool) -> bool:
    """Deliver records a second time, as a stream does after a lost answer; return True if the function drops them all.

    With the user's own broker (`own`) also True if the topic has no such record any more: the broker may delete them
    at once, because its retention goes by the records' times, which are in 2020.
    """
    CONSOLE.print(f"\nThe oldest {AGAIN:,} of these records that the topic still has, delivered once more")
    # The user's own broker may also hold records of earlier runs.
    since = {partition: offsets.first for partition, offsets in sent.items()}
    batch = read_batch(running.endpoints, AGAIN, AGAIN_SECONDS, since)
    if batch is None:
        reason = "; the broker deletes records by their times, which are in 2020" if own else ""
        CONSOLE.print(f"  the topic has none of them any more{reason}")
        return own
    with step("delivered again", batch.count) as report:
        reply = json.loads(running.invoke(batch.body).body)
        report(batch.count)
    written, dropped = int(reply["records"]), int(reply.get("dropped", 0))
    CONSOLE.print(f"  {written:,} rows written, {dropped:,} records dropped because the ledger has settled them")
    return (written, dropped) == (0, batch.count)


def _show_rows(client: ODPS, running: Cloud) -> None:
    pt = "11-17-2020 14"
    for statement in (
        f"show partitions {running.endpoints.table}",
        f"select * from {running.endpoints.table} where pt='{pt}'",  # noqa: S608 - a name out of the template
    ):
        CONSOLE.print(f"\n> {statement};")
        for line in sql_answers.run(client, statement):
            CONSOLE.print(line)


def _check(client: ODPS, running: Cloud, sent: dict[int, Sent], replayed: int) -> tuple[bool, int, int]:
    """Compare each topic-partition's rows with its records; return whether each is there once, and both counts."""
    table, topic = running.endpoints.table, running.endpoints.topic
    CONSOLE.print("\nRecords sent, and rows in the table")
    statement = (
        "select topic, `partition`, count(*) as records, count(distinct `offset`) as offsets, "  # noqa: S608 - as above
        f"min(`offset`) as first, max(`offset`) as last from {table} group by topic, `partition`"
    )
    with client.execute_sql(statement).open_reader(tunnel=True) as reader:
        rows = {(record[0], record[1]): tuple(record.values[2:]) for record in reader}
    recorded = [counts for (origin, _), counts in rows.items() if origin != topic]
    expected = {
        partition: (offsets.count, offsets.count, offsets.first, offsets.last) for partition, offsets in sent.items()
    }
    names = ["topic", "partition", "sent", "rows", "offsets once", "first", "last", ""]
    lines: list[list[object]] = []
    for partition, wanted in sorted(expected.items()):
        actual = rows.get((topic, partition), (0, 0, None, None))
        lines.append([topic, partition, wanted[0], *actual, _verdict(actual == wanted)])
    written, distinct = sum(counts[0] for counts in recorded), sum(counts[1] for counts in recorded)
    lines.append(
        ["(replayed)", None, replayed, written, distinct, None, None, _verdict(written == distinct == replayed)]
    )
    print_lines(f"  {line}" for line in draw(names, lines))
    total = sum(wanted[0] for wanted in expected.values()) + replayed
    row_count = sum(counts[0] for counts in rows.values())
    CONSOLE.print(f"  {total:,} records sent, {row_count:,} rows in the table")
    return total == row_count and all(line[-1] == "ok" for line in lines), total, row_count


def _clean_up(running: Cloud) -> None:
    """Remove the connector's topics and group from the user's own broker: the next run has another table."""
    event = {"action": "destroy", "confirm": running.endpoints.connector, "remove": ["topics", "table"]}
    CONSOLE.print(f"\n> {json.dumps(event)}")
    provision_command.carry_out(running.endpoints, event)


def _verdict(right: bool) -> str:
    return "ok" if right else "WRONG"
