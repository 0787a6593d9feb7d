"""Measure how an audit reads a table of ten million rows from the local MaxCompute: `python benchmarks/audit.py`.

The rows have six topic-partitions and 24 partition values. Of every 50,000 offsets one has no row and one has two rows.
For comparison, the time of a plain count of the table is printed: nothing that reads every row is faster. The emulator
runs in this process, so the memory's peak includes the emulator. The exit code is 1 if the audit's runs differ from the
uploaded runs, or if the audit takes longer than an invocation of the provisioning function may last.
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
from kafka_maxcompute.maxcompute.jobs import run_sql, select  # noqa: E402
from kafka_maxcompute.maxcompute.service import Service  # noqa: E402
from kafka_maxcompute.maxcompute.sql import Statement  # noqa: E402
from kafka_maxcompute.settings.destinations import TrustedAddress  # noqa: E402
from kafka_maxcompute.settings.settings import Settings  # noqa: E402
from local_emulator.maxcompute import server  # noqa: E402
from provisioning.audit.table_runs import Run, runs  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 10_000_000
TOPIC_PARTITIONS, HOURS = 6, 24
EVERY = 50_000
"""Of so many offsets, one has no row and one has two rows."""
SECONDS = 600.0
"""The timeout of the provisioning function in template.yml."""
SETTINGS = {"name": "orders", "source_topic": "orders", "project": "connector_test", "table": "orders"}
SETTINGS |= {"delivery": "at-least-once"}  # needs no brokers
TABLE = "CREATE TABLE orders (topic STRING, `partition` BIGINT, `offset` BIGINT, key STRING, value STRING)"


def value(hour: int) -> str:
    """Return the partition value of an hour."""
    return f"11-17-2020 {hour:02d}"


def table_runs(rows: int) -> list[Run]:
    """Return the runs of the table to upload."""
    rows_per_hour = rows // TOPIC_PARTITIONS // HOURS
    table: list[Run] = []
    for partition in range(TOPIC_PARTITIONS):
        for hour in range(HOURS):
            table += _runs(partition, hour, hour * rows_per_hour, (hour + 1) * rows_per_hour)
    return table


def _runs(partition: int, hour: int, begin: int, end: int) -> Iterator[Run]:
    """Yield the runs of one hour: a gap at the first offset, and a repeated offset in the middle, of every `EVERY`."""
    pt = value(hour)
    for start in range(begin, end, EVERY):
        stop = min(start + EVERY, end)
        middle = (start + stop) // 2
        yield Run(partition, start + 1, middle - 1, pt, pt)
        yield Run(partition, middle, middle, pt, pt, copies=2)
        yield Run(partition, middle + 1, stop - 1, pt, pt)


def fill(client: ODPS, table: list[Run]) -> int:
    """Upload the rows of the runs; return the number of rows."""
    written, tunnel = 0, TableTunnel(client)
    for hour in range(HOURS):
        session = tunnel.create_upload_session("orders", partition_spec=f"pt={value(hour)}", create_partition=True)
        with session.open_arrow_writer(0) as writer:
            for run in (candidate for candidate in table if candidate.lowest == value(hour)):
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
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    with server.start("connector_test", insecure=True) as local:
        settings = Settings.from_mapping({**SETTINGS, "endpoint": local.endpoint})
        service = Service(TrustedAddress(local.endpoint), settings.project, Credentials("ak", "sk"))
        run_sql(service, Statement(f"{TABLE} PARTITIONED BY (pt STRING);"), Deadline.after(60))
        uploaded = table_runs(options.rows)
        rows = fill(ODPS("ak", "sk", settings.project, endpoint=local.endpoint), uploaded)
        begun = time.perf_counter()
        answer = select(service, Statement("SELECT COUNT(*) AS row_count FROM orders;"), Deadline.after(600))
        count_seconds, begun = time.perf_counter() - begun, time.perf_counter()
        audited = list(runs(service, settings, Deadline.after(600)))
        seconds = time.perf_counter() - begun
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows:,} rows in {len(uploaded):,} runs; counted in {count_seconds:.2f} s: {answer[0]['row_count']}")
    print(f"read as runs in {seconds:.1f} s ({rows / seconds / 1e6:.2f} million rows a second); peak {memory:,.0f} MiB")
    correct = audited == uploaded
    print("the audit's runs equal the uploaded runs" if correct else "the audit's runs DIFFER from the uploaded runs")
    return 0 if correct and seconds <= SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
