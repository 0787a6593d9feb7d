"""Measure CPU time and memory of the hot path, compared with plain code in the same run: run `benchmarks/hot_path.py`.

The hot path is `maxcompute_sink.blocks`: the bytes of one invocation become the bodies of Tunnel blocks. A batch is
10,000 records of 823 bytes with values like orders, of 300 bytes, in three topic-partitions and one hour. The hot path
is compared with

    json.loads   of the same payload, which is a part of the work
    plain code   json.loads, and PyODPS's own record writer with a new record for each row: the simplest code

All candidates run in turns. Each is timed several times, in CPU seconds of the process, and the best time counts,
because noise only adds time. Memory is the growth of the peak, in a process of its own. The exit code is 1 if a limit
isn't kept.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / part) for part in ("functions/sink", "layers/connector/python", "layers/powertools/python")]

from odps.models import Record, TableSchema  # noqa: E402 # after the path is set
from odps.tunnel.io.stream import CompressOption  # noqa: E402
from odps.tunnel.io.writer import RecordWriter  # noqa: E402
from requests import Response  # noqa: E402

from kafka_maxcompute.maxcompute.table import expected  # noqa: E402
from kafka_maxcompute.settings.settings import Settings  # noqa: E402
from maxcompute_sink.blocks import Preparation  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RECORDS = 10_000
ROUNDS = 15
HOUR_14 = 1_605_594_000_000
ZONE = timezone(timedelta(hours=8))
LARGE_BATCH_BYTES = 32 * 1024 * 1024 - 64 * 1024
SCHEMA = TableSchema.from_lists(
    ["topic", "partition", "offset", "key", "value"], ["string", "bigint", "bigint", "string", "string"]
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit of the ratio of two candidates' times, `measured` and `by`: at most, or at least, `limit`."""

    title: str
    measured: str
    by: str
    limit: float
    at_least: bool = False

    def ratio(self, seconds: dict[str, float]) -> float:
        """Return the ratio of the times; if `at_least`, how many times faster `measured` is."""
        measured, by = seconds[self.measured], seconds[self.by]
        return by / measured if self.at_least else measured / by

    def reached(self, seconds: dict[str, float]) -> bool:
        """Return whether the ratio keeps the limit."""
        ratio = self.ratio(seconds)
        return ratio >= self.limit if self.at_least else ratio <= self.limit


BARS = (
    Bar("default codec (deflate) : json.loads", "text deflate", "text json.loads", 0.75),
    Bar("default codec, times faster than plain code with zlib", "text deflate", "text plain zlib", 5, at_least=True),
    Bar("uncompressed : json.loads", "text none", "text json.loads", 0.55),
    Bar("uncompressed, times faster than plain code", "text none", "text plain", 6, at_least=True),
    Bar("Json values, times faster than plain code", "json none", "json plain", 6, at_least=True),
    Bar("string elements, times faster than plain code", "strings none", "strings plain", 4, at_least=True),
    Bar("Binary values : json.loads", "binary none", "binary json.loads", 0.9),
    Bar("a batch with bad records : a clean one", "bad deflate", "text deflate", 2.5),
)
MEMORY_BAR_MB = 110.0


def order(chance: random.Random) -> dict[str, Any]:
    """Return an order message; its JSON text has about 300 bytes."""
    return {
        "orderId": chance.randrange(10**12),
        "customer": f"customer-{chance.randrange(10**6)}",
        "items": [
            {"sku": f"SKU-{chance.randrange(10**5)}", "quantity": chance.randrange(9), "price": chance.random()}
            for _ in range(3)
        ],
        "address": f"{chance.randrange(999)} West Lake Road, Hangzhou",
        "status": chance.choice(["NEW", "PAID", "SENT"]),
    }


def element(number: int, value: object) -> dict[str, Any]:
    """Return one CloudEvents element as EventBridge delivers it."""
    time_ms = HOUR_14 + number
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "source": "acs:alikafka",
        "specversion": "1.0",
        "type": "alikafka:Topic:Message",
        "datacontenttype": "application/json; charset=utf-8",
        "time": datetime.fromtimestamp(time_ms / 1_000, timezone.utc).isoformat(timespec="milliseconds"),
        "subject": "acs:alikafka:alikafka_post-cn-st21p8vj0001:topic:orders",
        "aliyunaccountid": "1880000000000000",
        "data": {
            "topic": "orders",
            "partition": number % 3,
            "offset": number // 3,
            "timestamp": time_ms,
            "headers": {"headers": [], "isReadOnly": False},
            "key": f"key-{number}",
            "value": value,
        },
    }


def payloads(records: int) -> dict[str, bytes]:
    """Return the same records in every shape."""
    chance = random.Random(20201117)  # noqa: S311 # repeatable data, no secret
    orders = [order(chance) for _ in range(records)]
    texts = [json.dumps(message, ensure_ascii=False) for message in orders]
    elements = [element(number, text) for number, text in enumerate(texts)]
    with_bad_records = [
        event | {"data": event["data"] | {"offset": "?"}} if number % 100 == 0 else event
        for number, event in enumerate(elements)
    ]
    binary = [element(number, base64.b64encode(text.encode()).decode()) for number, text in enumerate(texts)]
    shapes: dict[str, list[Any]] = {
        "text": elements,
        "json": [element(number, message) for number, message in enumerate(orders)],
        "strings": [json.dumps(event, ensure_ascii=False) for event in elements],
        "binary": binary,
        "bad": with_bad_records,
    }
    return {shape: json.dumps(batch, ensure_ascii=False).encode() for shape, batch in shapes.items()}


def sink(shape: str, compression: str) -> Callable[[bytes], object]:
    """Return the sink's hot path for payloads of a shape."""
    required = {"name": "c", "source_topic": "orders", "endpoint": "http://localhost/api", "project": "p", "table": "t"}
    value_type = {"json": "Json", "binary": "Binary"}.get(shape, "Text")
    values = required | {"compression": compression, "value_type": value_type, "delivery": "at-least-once"}
    settings = Settings.from_mapping(values | ({"format": "BINARY"} if value_type == "Binary" else {}))
    preparation = Preparation(settings, expected(settings))

    def run(payload: bytes) -> object:
        return preparation.blocks(preparation.decode(payload), now=HOUR_14)

    return run


def plain(option: CompressOption | None) -> Callable[[bytes], object]:
    """Return the plain code that the hot path is compared with."""

    def run(payload: bytes) -> object:
        groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for event in json.loads(payload):
            data = (json.loads(event) if isinstance(event, str) else event)["data"]
            value = data.get("value")
            if value is not None and not isinstance(value, str):
                data["value"] = json.dumps(value, ensure_ascii=False)
            moment = datetime.fromtimestamp(int(data["timestamp"]) / 1_000, ZONE)
            groups[moment.strftime("%m-%d-%Y %H")].append(data)
        bodies: list[bytes] = []

        def send(chunks: Iterable[bytes]) -> Response:
            bodies.append(b"".join(chunks))
            return Response()

        for members in groups.values():
            with RecordWriter(SCHEMA, send, option) as writer:
                for data in members:
                    row = [data["topic"], data["partition"], data["offset"], data.get("key"), data.get("value")]
                    writer.write(Record(schema=SCHEMA, values=row))
        return bodies

    return run


def measure(rounds: int, records: int) -> dict[str, float]:
    """Return the best CPU seconds of every candidate, by name."""
    batches = payloads(records)
    candidates: dict[str, Callable[[], object]] = {}
    for shape, payload in batches.items():
        candidates[f"{shape} json.loads"] = partial(json.loads, payload)
        for compression in ("deflate", "lz4", "zstd", "none"):
            candidates[f"{shape} {compression}"] = partial(sink(shape, compression), payload)
        for name, option in (("plain", None), ("plain zlib", CompressOption())):
            candidates[f"{shape} {name}"] = partial(plain(option), payload)
    needed = {name for bar in BARS for name in (bar.measured, bar.by)} | {"text lz4", "text zstd"}
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name in sorted(needed):
            begun = time.process_time()
            candidates[name]()
            spent = time.process_time() - begun
            best[name] = min(spent, best.get(name, spent))
    return best


def peak_mb() -> float:
    """Return the peak of this process's memory, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, getrusage's peak includes the peak of the parent process.
        (peak,) = (line.split()[1] for line in status.read_text(encoding="ascii").splitlines() if "VmHWM" in line)
        return int(peak) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024)


def memory_of(path: Path, compression: str) -> float:
    """Return by how many MB the peak grows for the payload in a file; call this in a new process."""
    run = sink("text", compression)
    run(json.dumps([element(0, "warm-up")]).encode())
    payload = path.read_bytes()
    before = peak_mb()
    run(payload)
    return peak_mb() - before


def measure_memory(compression: str) -> float:
    """Return the growth of the peak in MB for a payload of 32 MB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batch.json"
        unit = payloads(1_000)["text"].strip(b"[]")
        path.write_bytes(b"[" + b", ".join([unit] * (LARGE_BATCH_BYTES // len(unit))) + b"]")
        command = [sys.executable, __file__, "--memory-of", str(path), compression]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report(seconds: dict[str, float], memory: dict[str, float], records: int) -> bool:
    """Print all numbers; return whether all limits are kept."""
    print(f"{'CPU, best of the run':<60}{'s per million':>14}{'records/s':>12}")
    for name, spent in sorted(seconds.items()):
        print(f"{name:<60}{spent / records * 1e6:>14.2f}{records / spent:>12,.0f}")
    print(f"\n{'ratio':<60}{'measured':>14}{'bar':>12}")
    reached = []
    for bar in BARS:
        reached.append(bar.reached(seconds))
        sign = ">=" if bar.at_least else "<="
        row = f"{bar.title:<60}{bar.ratio(seconds):>14.2f}{f'{sign} {bar.limit:g}':>12}"
        print(f"{row}{'' if reached[-1] else '  NOT REACHED'}")
    for compression, growth in memory.items():
        reached.append(growth <= MEMORY_BAR_MB)
        title = f"memory for a 32 MB payload, {compression}, MB"
        row = f"{title:<60}{growth:>14.0f}{f'<= {MEMORY_BAR_MB:g}':>12}"
        print(f"{row}{'' if reached[-1] else '  NOT REACHED'}")
    return all(reached)


def main() -> int:
    """Measure and print; return 1 if a limit isn't kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each candidate is timed (%(default)s)")
    parser.add_argument("--records", type=int, default=RECORDS, help="records of a batch (%(default)s)")
    parser.add_argument("--memory-of", nargs=2, metavar=("FILE", "COMPRESSION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(memory_of(Path(arguments.memory_of[0]), arguments.memory_of[1]))
        return 0
    memory = {compression: measure_memory(compression) for compression in ("deflate", "none")}
    return 0 if report(measure(arguments.rounds, arguments.records), memory, arguments.records) else 1


if __name__ == "__main__":
    sys.exit(main())
