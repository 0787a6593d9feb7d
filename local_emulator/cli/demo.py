"""`make run`: the main job on the local cloud, from the broker to rows that are counted."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from local_emulator import cloud
from local_emulator.cli import provision_command, sql_answers
from local_emulator.cli.progress import CONSOLE, step
from local_emulator.cli.text_table import draw
from local_emulator.cli.topic import read_batch
from local_emulator.eventbridge import recording
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
# The longest that the stream may deliver nothing; its window alone may wait 15 s.
STALLED_SECONDS = 60.0
# The embedded broker's group may need several rebalances of seven seconds on a machine that is busy.
START_SECONDS = 120.0
# The template's window of 10 s is for long runs; here every last batch would wait for it.
WINDOW = {"BATCH_SECONDS": "1"}
# A broker of one's own has the records of earlier runs, too.
OWN_BROKER = {"CONNECTOR_CONSUMER_OFFSET": "latest"}
AGAIN, AGAIN_SECONDS = 1_000, 10.0
BATCH = Path(__file__).parents[1] / "batches" / "orders.json"


def show(kafka: str) -> bool:
    """Run it all and say what happens; True if every record that was sent is in the table exactly once."""
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
        held = _check(client, running, sent, replayed) and dropped
        if is_own(kafka):
            _leave_as_found(running)
    CONSOLE.print(f"\n{'The check holds' if held else 'THE CHECK FAILED'} ({time.monotonic() - begun:.1f} s in all).")
    return held


def _provision(running: Cloud) -> EventStream:
    """Show what was made before the deployment, then let the provisioning function make the rest; what it started."""
    CONSOLE.print("\nBefore the deployment, with the owner's keys (make bootstrap)")
    for line in (*running.bootstrapped["done"], *running.bootstrapped["for_the_projects_owner"]):
        CONSOLE.print(f"  {line}")
    at = running.endpoints
    CONSOLE.print(f"\nThe connector into {at.project}.{at.table}, by the function {at.provisioner}")
    for action in ("plan", "apply"):
        event = {"action": action, "create_table": True}
        CONSOLE.print(f"\n> {json.dumps(event)}")
        failed = provision_command.carry_out(at, event)
    stream = running.stream
    if failed or stream is None:
        raise ProvisioningError(f"the connector isn't complete; {installation.logs()}/{at.provisioner}.log says more")
    return stream


def _send(running: Cloud, stream: EventStream) -> dict[int, Sent]:
    """Send the test message and the orders while the stream delivers; what each topic-partition got."""
    topic, total, broker = running.endpoints.topic, ORDERS + 1, running.account.broker
    CONSOLE.print(f"\nFrom the topic {topic} through the stream into the function")
    stream.await_start(START_SECONDS)
    # A broker of the user's own may have the topic already, with another count.
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
    targets = {(topic, partition): part.last + 1 for partition, part in sent.items()}
    with step("delivered into the table", total, since=begun) as report:
        stream.await_delivery(targets, STALLED_SECONDS, report=lambda progress: report(min(total, progress.events)))
    progress = stream.progress()
    CONSOLE.print(f"  {progress.batches:,} batches, {progress.failed_invocations:,} failed invocations")
    return sent


def _replay(running: Cloud) -> int:
    """Give the recorded batch straight to the function; how many records it holds."""
    CONSOLE.print(f"\nA recorded batch, {BATCH.name}, straight to the function")
    body = recording.read(BATCH)
    count = len(json.loads(body))
    with step("replayed", count) as report:
        running.invoke(body)
        report(count)
    return count


def _deliver_again(running: Cloud, sent: dict[int, Sent], *, own: bool) -> bool:
    """Give the function what is in the table, as a stream does after a lost answer; True if all of it was dropped.

    A broker of one's own may have dropped it: its retention goes by the records' times, which are of 2020.
    """
    CONSOLE.print(f"\nThe oldest {AGAIN:,} of these records that the topic still has, delivered once more")
    since = {
        partition: part.first for partition, part in sent.items()
    }  # a broker of the user's own may have older ones
    batch = read_batch(running.endpoints, AGAIN, AGAIN_SECONDS, since)
    if batch is None:
        CONSOLE.print(
            "  it has none of them any more" + ("; its retention goes by their times, of 2020" if own else "")
        )
        return own
    with step("delivered again", batch.count) as report:
        reply = json.loads(running.invoke(batch.body))
        report(batch.count)
    written, dropped = int(reply["records"]), int(reply.get("dropped", 0))
    CONSOLE.print(f"  {written:,} rows written, {dropped:,} records dropped as settled already")
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


def _check(client: ODPS, running: Cloud, sent: dict[int, Sent], replayed: int) -> bool:
    """Count the rows of each topic-partition and compare them with what was sent; True if each is there once."""
    table, topic = running.endpoints.table, running.endpoints.topic
    CONSOLE.print("\nRecords sent, and rows in the table")
    statement = (
        "select topic, `partition`, count(*) as records, count(distinct `offset`) as offsets, "  # noqa: S608 - as above
        f"min(`offset`) as first, max(`offset`) as last from {table} group by topic, `partition`"
    )
    with client.execute_sql(statement).open_reader(tunnel=True) as reader:
        rows = {(record[0], record[1]): tuple(record.values[2:]) for record in reader}
    recorded = [found for (origin, _), found in rows.items() if origin != topic]
    wanted = {partition: (part.count, part.count, part.first, part.last) for partition, part in sent.items()}
    names = ["topic", "partition", "sent", "rows", "offsets once", "first", "last", ""]
    lines: list[list[object]] = []
    for partition, want in sorted(wanted.items()):
        found = rows.get((topic, partition), (0, 0, None, None))
        lines.append([topic, partition, want[0], *found, _verdict(found == want)])
    written, distinct = sum(found[0] for found in recorded), sum(found[1] for found in recorded)
    lines.append(
        ["(replayed)", None, replayed, written, distinct, None, None, _verdict(written == distinct == replayed)]
    )
    for line in draw(names, lines):
        CONSOLE.print(f"  {line}")
    total = sum(want[0] for want in wanted.values()) + replayed
    found_in_all = sum(found[0] for found in rows.values())
    CONSOLE.print(f"  {total:,} records sent, {found_in_all:,} rows in the table")
    return total == found_in_all and all(line[-1] == "ok" for line in lines)


def _leave_as_found(running: Cloud) -> None:
    """Remove the connector's topics and group from a broker that stays: the next run has another table."""
    event = {"action": "destroy", "confirm": running.endpoints.connector, "remove": ["topics", "table"]}
    CONSOLE.print(f"\n> {json.dumps(event)}")
    provision_command.carry_out(running.endpoints, event)


def _verdict(right: bool) -> str:
    return "ok" if right else "WRONG"
