"""How an audit reads a table of ten million rows from the local MaxCompute: `python benchmarks/audit.py`.

The rows are of six topic-partitions and 24 partition values; of every 50,000 offsets one is left out and one is there
twice. A plain count of the same table is shown beside, which is the least that anything costs that looks at every row.
The emulator runs in this process, so the peak of memory is of both. Exits with 1 if the runs aren't exactly those that
were made, or if it takes longer than an invocation of the provisioning function lasts.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
PARTS = (".", "functions/sink", "functions/provision", "layers/connector/python", "layers/powertools/python")
sys.path[:0] = [str(ROOT / part) for part in PARTS]

import pyarrow as pa  # noqa: E402 # after the path is set
from odps import ODPS  # noqa: E402
from odps.tunnel import TableTunnel  # noqa: E402

from fc_powertools import Credentials, Deadline  # noqa: E402
from kafka_maxcompute.maxcompute.service import Service  # noqa: E402
from kafka_maxcompute.maxcompute.sql import Statement  # noqa: E402
from kafka_maxcompute.maxcompute.statements import run_sql, select  # noqa: E402
from kafka_maxcompute.settings.destinations import TrustedAddress  # noqa: E402
from kafka_maxcompute.settings.settings import Settings  # noqa: E402
from local_emulator.maxcompute import server  # noqa: E402
from provisioning.audit.table_runs import Run, runs  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 10_000_000
TOPIC_PARTITIONS, HOURS = 6, 24
EVERY = 50_000
"""Of so many offsets, one is left out and one is there twice."""
SECONDS = 600.0
"""The timeout of the provisioning function in template.yml."""
SETTINGS = {"name": "orders", "source_topic": "orders", "project": "connector_test", "table": "orders"}
SETTINGS |= {"delivery": "at-least-once"}  # which needs no brokers
TABLE = "CREATE TABLE orders (topic STRING, `partition` BIGINT, `offset` BIGINT, key STRING, value STRING)"


def value(hour: int) -> str:
    """The partition value of an hour."""
    return f"11-17-2020 {hour:02d}"


def made(rows: int) -> list[Run]:
    """The runs of the table."""
    each = rows // TOPIC_PARTITIONS // HOURS
    found: list[Run] = []
    for partition in range(TOPIC_PARTITIONS):
        for hour in range(HOURS):
            found += _runs(partition, hour, hour * each, (hour + 1) * each)
    return found


def _runs(partition: int, hour: int, begin: int, end: int) -> Iterator[Run]:
    """Of one hour: up to a gap, up to a repeat, and on."""
    pt = value(hour)
    for start in range(begin, end, EVERY):
        stop = min(start + EVERY, end)
        middle = (start + stop) // 2
        yield Run(partition, start + 1, middle - 1, pt, pt)
        yield Run(partition, middle, middle, pt, pt, copies=2)
        yield Run(partition, middle + 1, stop - 1, pt, pt)


def fill(client: ODPS, wanted: list[Run]) -> int:
    """Upload what the runs say; the count of rows."""
    written, tunnel = 0, TableTunnel(client)
    for hour in range(HOURS):
        session = tunnel.create_upload_session("orders", partition_spec=f"pt={value(hour)}", create_partition=True)
        with session.open_arrow_writer(0) as writer:
            for run in (one for one in wanted if one.lowest == value(hour)):
                offsets = pa.array([*range(run.first, run.last + 1)] * run.copies, pa.int64())
                count = len(offsets)
                columns = [
                    pa.array(["orders"] * count),
                    pa.array([run.partition] * count, pa.int64()),
                    offsets,
                    pa.nulls(count, pa.string()),
                    pa.nulls(count, pa.string()),
                ]
                names = ["topic", "partition", "offset", "key", "value"]
                writer.write(pa.RecordBatch.from_arrays(columns, names))
                written += count
        session.commit([0])
    return written


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    with server.start("connector_test", insecure=True) as local:
        settings = Settings.from_mapping({**SETTINGS, "endpoint": local.endpoint})
        service = Service(TrustedAddress(local.endpoint), settings.project, Credentials("ak", "sk"))
        run_sql(service, Statement(f"{TABLE} PARTITIONED BY (pt STRING);"), Deadline.after(60))
        wanted = made(options.rows)
        rows = fill(ODPS("ak", "sk", settings.project, endpoint=local.endpoint), wanted)
        begun = time.perf_counter()
        counted = select(service, Statement("SELECT COUNT(*) AS found FROM orders;"), Deadline.after(600))
        count_seconds, begun = time.perf_counter() - begun, time.perf_counter()
        found = list(runs(service, settings, Deadline.after(600)))
        seconds = time.perf_counter() - begun
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows:,} rows in {len(wanted):,} runs; counted in {count_seconds:.2f} s: {counted[0]['found']}")
    print(f"read as runs in {seconds:.1f} s ({rows / seconds / 1e6:.2f} million rows a second); peak {memory:,.0f} MiB")
    correct = found == wanted
    print("the runs are those that were made" if correct else "the runs are NOT those that were made")
    return 0 if correct and seconds <= SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
