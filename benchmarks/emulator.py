"""Measure speed and memory of the local MaxCompute against limits: `python benchmarks/emulator.py`.

The emulator must be fast enough not to distort benchmarks of the sink. It runs in a process of its own, as a user
starts it. The client sends bodies over HTTP that were prepared before, so the client's only cost is sending. PyODPS's
own writers prepare the bodies: rows of 100 or 300 bytes for the connector document's table.

Each number is the best of several rounds, because noise only adds time. Beside the elapsed time is the CPU time of the
emulator, which other programs on the machine affect less. Memory is the memory of the emulator's process without the
pages of mapped files, because the kernel can take these pages back. The benchmark needs Linux's /proc. The exit code is
1 if a limit isn't kept.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
from odps import ODPS
from odps.models import Record, TableSchema
from odps.tunnel.io.writer import ArrowWriter, RecordWriter
from requests import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "benchmark"
MEMORY, DISK = "in memory", "on disk"
COLUMNS = "topic STRING, `partition` BIGINT, `offset` BIGINT, key STRING, value STRING"
SCHEMA = TableSchema.from_lists(
    ["topic", "partition", "offset", "key", "value"], ["string", "bigint", "bigint", "string", "string"]
)
BLOCK_ROWS = 100_000
BLOCKS = 10  # in a session: a commit has a million rows
UPLOADS = 4  # at once
SMALL, LARGE = 100, 300  # bytes of a row's values
TIMEOUT = 120.0
READY = re.compile(r"REST (http://127\.0\.0\.1:(\d+)/api).*limits (.*)")

BAR_MB, BAR_ARROW_ROWS, BAR_RECORD_ROWS = 150e6, 1.5e6, 400e3  # a second
BAR_COMMIT, BAR_START = 1.5, 1.5  # seconds
# DuckDB's memory, which doesn't depend on the table; and copies of each received body: in pieces and joined, or joined
# and without its checksums, and as much again that the allocators keep.
DATABASE_MB, COPIES = 1024, 4
MEMORY_SESSIONS = 8  # of a million rows of 300 bytes: 2.5 GB


@dataclass(frozen=True, slots=True)
class Body:
    """A block's bytes as a client sends them, the query's format option, and the numbers of rows and of value bytes."""

    data: bytes
    query: str
    rows: int
    value_bytes: int


@dataclass(frozen=True, slots=True)
class Spent:
    """Elapsed seconds, and CPU seconds of the emulator."""

    wall: float
    cpu: float


class Emulator:
    """A running emulator, and the kernel's measurements of its process."""

    def __init__(self, process: subprocess.Popen[str], endpoint: str, port: int, limits: str) -> None:
        self.port = port
        self.limits = limits
        self.odps = ODPS("ak", "sk", PROJECT, endpoint=endpoint)
        self._proc = Path("/proc") / str(process.pid)

    def cpu(self) -> float:
        """Return the CPU seconds so far."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the MB of the process's own memory, now."""
        (line,) = (line for line in (self._proc / "status").read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) / 1024

    @contextmanager
    def watched(self) -> Iterator[list[float]]:
        """Measure the memory every 10 ms; after the block, the yielded list's only element is the peak in MB."""
        peak = [self.memory()]
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.01):
                peak[0] = max(peak[0], self.memory())

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield peak
        finally:
            ended.set()
            watching.join()

    def table(self) -> str:
        """Create an empty table; return its name."""
        name = f"t{time.monotonic_ns()}"
        self.odps.execute_sql(f"CREATE TABLE {name} ({COLUMNS})")
        return name

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return the answer to a request on a new connection; RuntimeError if the request fails."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status not in {200, 201}:
                raise RuntimeError(f"{method} {path}: {answer.status} {data.decode(errors='replace')}")
            return data
        finally:
            connection.close()


@contextmanager
def running(data_dir: str | None, *options: str) -> Iterator[Emulator]:
    """Yield a started emulator in a process of its own; `options` are further options of its command."""
    command = [sys.executable, "-m", "local_emulator", "maxcompute", "--port", "0", "--project", PROJECT, "--insecure"]
    command += [*options, *(["--data-dir", data_dir] if data_dir else [])]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 # stdout is a pipe
            ready = READY.search(process.stdout.readline())
            if ready is None:
                raise RuntimeError("the emulator didn't start; its error message is above")
            yield Emulator(process, ready[1], int(ready[2]), ready[3])
        finally:
            process.terminate()


def rows(size: int) -> Iterator[list[Any]]:
    """Yield rows whose values have about so many bytes."""
    filler = json.dumps({"customer": "c" * (size - 75), "amount": 12.5, "s": "NEW"})
    for number in range(BLOCK_ROWS):
        yield ["orders", number % 3, number, f"key-{number:08}", filler]


def sent_bytes(write: Callable[[Callable[[Iterable[bytes]], Response]], None]) -> bytes:
    """Return the bytes that a writer of PyODPS sends."""
    body = io.BytesIO()

    def send(chunks: Iterable[bytes]) -> Response:
        body.writelines(chunks)
        return Response()

    write(send)
    return body.getvalue()


def arrow_body(size: int) -> Body:
    """Return a block in Tunnel's Arrow format."""
    values = list(rows(size))
    names = ["topic", "partition", "offset", "key", "value"]
    batch = pa.RecordBatch.from_arrays([pa.array(column) for column in zip(*values, strict=True)], names=names)

    def write(send: Callable[[Iterable[bytes]], Response]) -> None:
        with ArrowWriter(SCHEMA, send) as writer:
            writer.write(batch)

    return Body(sent_bytes(write), "&arrow", BLOCK_ROWS, value_bytes(values))


def record_body(size: int) -> Body:
    """Return a block in Tunnel's record format."""
    values = list(rows(size))

    def write(send: Callable[[Iterable[bytes]], Response]) -> None:
        with RecordWriter(SCHEMA, send, None) as writer:
            for row in values:
                writer.write(Record(schema=SCHEMA, values=row))

    return Body(sent_bytes(write), "", BLOCK_ROWS, value_bytes(values))


def value_bytes(values: list[list[Any]]) -> int:
    """Return the number of bytes of the values; a number counts as 8 bytes."""
    return sum(len(value) if isinstance(value, str) else 8 for row in values for value in row)


class Upload:
    """An upload session of raw requests."""

    def __init__(self, emulator: Emulator, table: str) -> None:
        self._emulator = emulator
        self._path = f"/projects/{PROJECT}/tables/{table}"
        self.id = json.loads(emulator.request("POST", f"{self._path}?uploads"))["UploadID"]

    def put(self, block: int, body: Body) -> None:
        """Send a block."""
        query = f"uploadid={quote(self.id)}&blockid={block}{body.query}"
        self._emulator.request("PUT", f"{self._path}?{query}", body.data)

    def commit(self) -> None:
        """Make the rows visible."""
        self._emulator.request("POST", f"{self._path}?uploadid={quote(self.id)}")


def spent(emulator: Emulator, work: Callable[[], object]) -> Spent:
    """Return the costs of `work`."""
    wall, cpu = time.perf_counter(), emulator.cpu()
    work()
    return Spent(time.perf_counter() - wall, emulator.cpu() - cpu)


def least(costs: Iterable[Spent]) -> Spent:
    """Return the least elapsed time and the least CPU time."""
    walls, cpus = zip(*((cost.wall, cost.cpu) for cost in costs), strict=True)
    return Spent(min(walls), min(cpus))


def upload_rows(emulator: Emulator, table: str, body: Body, pool: ThreadPoolExecutor) -> tuple[Spent, Spent]:
    """Return the costs of sending a session's blocks, several at once, and of the session's commit."""
    upload = Upload(emulator, table)
    sending = spent(emulator, lambda: list(pool.map(upload.put, range(BLOCKS), [body] * BLOCKS)))
    return sending, spent(emulator, upload.commit)


class Report:
    """Prints a line for each number; `reached` is whether all limits are kept so far."""

    def __init__(self) -> None:
        self.reached = True

    def line(self, title: str, value: str, bar: str = "", *, good: bool = True, note: str = "") -> None:
        """Print one number, with its limit and whether the limit is kept (`good`)."""
        self.reached &= good
        print(f"{title:<68}{value:>11} {bar:>12}  {note}{'' if good else '  NOT REACHED'}".rstrip(), flush=True)


@contextmanager
def started(where: str) -> Iterator[tuple[Emulator, ThreadPoolExecutor]]:
    """Yield an emulator with its data in memory or on disk, and the threads of its clients."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory()) if where == DISK else None
        yield stack.enter_context(running(folder)), stack.enter_context(ThreadPoolExecutor(UPLOADS))


def measure_start(report: Report, rounds: int) -> None:
    """Measure the time from the start of the process to its line that it is ready."""
    start_seconds, limits = [], ""
    for _ in range(rounds):
        begun = time.perf_counter()
        with running(None) as emulator:
            start_seconds.append(time.perf_counter() - begun)
            limits = emulator.limits
    # Each round has a table of its own, so that no table comes near the service's limits.
    print(f"Limits: {limits}, unchanged. Signatures: not checked. {os.cpu_count()} CPUs, {UPLOADS} uploads at once.")
    best = min(start_seconds)
    report.line("empty start, s", f"{best:.2f}", f"< {BAR_START:g}", good=best < BAR_START)


def measure_speed(report: Report, rounds: int, bodies: dict[str, Body]) -> None:
    """Measure the speed of uploads and of commits."""
    for where in (MEMORY, DISK):
        with started(where) as (emulator, pool):
            for name, body in bodies.items():
                costs = [upload_rows(emulator, emulator.table(), body, pool) for _ in range(rounds)]
                _report_speed(report, f"{where}, {name}", body, costs)


def measure_memory(report: Report, body: Body) -> None:
    """Measure the peak of memory while a table grows, a million rows at a time."""
    for where in (MEMORY, DISK):
        with started(where) as (emulator, pool):
            table = emulator.table()
            most = emulator.memory() + DATABASE_MB + COPIES * UPLOADS * len(body.data) / 1e6
            for number in range(1, MEMORY_SESSIONS + 1):
                with emulator.watched() as peak:
                    upload_rows(emulator, table, body, pool)
                size = f"{number * BLOCKS * body.rows:,} rows, {number * BLOCKS * body.value_bytes / 1e9:.1f} GB"
                title = f"{where}, table of {size}: most memory, MB"
                report.line(title, f"{peak[0]:,.0f}", f"<= {most:,.0f}", good=peak[0] <= most)


def _report_speed(report: Report, title: str, body: Body, costs: list[tuple[Spent, Spent]]) -> None:
    sending, commit = least(cost for cost, _ in costs), least(cost for _, cost in costs)
    total, megabytes = body.rows * BLOCKS, body.value_bytes * BLOCKS / 1e6
    bar = BAR_ARROW_ROWS if body.query else BAR_RECORD_ROWS
    speed = total / sending.wall
    # The limit in rows is for rows of 100 bytes, for which it equals the limit in bytes.
    judged = body.value_bytes < BLOCK_ROWS * LARGE / 2 or not body.query
    report.line(
        f"{title}: rows/s",
        f"{speed:,.0f}",
        f">= {bar:,.0f}" if judged else "",
        good=speed >= bar or not judged,
        note=f"{total / sending.cpu:,.0f} a CPU second",
    )
    if body.query:
        rate = body.value_bytes * BLOCKS / sending.wall
        report.line(
            f"{title}: MB/s",
            f"{rate / 1e6:,.0f}",
            f">= {BAR_MB / 1e6:,.0f}",
            good=rate >= BAR_MB,
            note=f"{megabytes / sending.cpu:,.0f} a CPU second",
        )
    report.line(
        f"{title}: commit of {total:,} rows, s",
        f"{commit.wall:.2f}",
        f"< {BAR_COMMIT:g}",
        good=commit.wall < BAR_COMMIT,
        note=f"{commit.cpu:.2f} CPU s",
    )


def main() -> int:
    """Measure and print; return 1 if a limit isn't kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each number is measured (%(default)s)")
    arguments = parser.parse_args()
    report = Report()
    measure_start(report, 3)
    bodies = {
        "Arrow, rows of 100 bytes": arrow_body(SMALL),
        "Arrow, rows of 300 bytes": arrow_body(LARGE),
        "records, rows of 100 bytes": record_body(SMALL),
    }
    measure_speed(report, arguments.rounds, bodies)
    measure_memory(report, bodies["Arrow, rows of 300 bytes"])
    return 0 if report.reached else 1


if __name__ == "__main__":
    sys.exit(main())
