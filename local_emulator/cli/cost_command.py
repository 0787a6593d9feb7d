"""The command `cost`: what a connector needs and costs at a rate of records."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING

from local_emulator.cli.output import print_json, print_lines
from local_emulator.cli.text_table import draw
from local_emulator.sizing import PRICES_OF, Load, Prices, Sizing, SizingError, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

RATES = (1_000.0, 10_000.0, 100_000.0)
"""Records a second that are shown if none are given."""
_OPTIONS: Mapping[str, str] = {
    "record_bytes": "bytes of a record's key and value, on average",
    "topic_partitions": "topic-partitions of the source topic",
    "window": "seconds of the batch window",
    "batch_seconds": "seconds of an invocation besides those for its records; measure them",
    "record_microseconds": "microseconds of one vCPU for each record",
    "log_bytes": "bytes that an invocation writes into the log store",
    "kept_days": "days that the table keeps rows",
    "memory_gb": "memory of the function in GB",
    "vcpus": "vCPUs of the function",
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's options, with the defaults of `Load`."""
    command.add_argument(
        "--records", type=float, action="append", metavar="N", help="records a second; repeatable; default: three rates"
    )
    defaults = {field.name: field.default for field in fields(Load)}
    for name, text in _OPTIONS.items():
        default = defaults[name]
        command.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default),
            default=default,
            metavar="N",
            help=f"{text}; default: %(default)s",
        )
    command.add_argument(
        "--price",
        action="append",
        default=[],
        metavar="NAME=DOLLARS",
        help=f"another price or factor than that of {PRICES_OF}: {', '.join(field.name for field in fields(Prices))}",
    )


def run(options: argparse.Namespace) -> int:
    """Print the sizing of each rate; return 0. SizingError names a wrong input."""
    prices = _prices(options.price)
    shape = {name: getattr(options, name) for name in _OPTIONS}
    loads = [Load(records=records, **shape) for records in options.records or RATES]
    sizings = [size(load, prices) for load in loads]
    if options.json:
        document = {
            "prices": asdict(prices),
            "prices_of": PRICES_OF,
            "loads": [
                {**asdict(load), "needs": {**asdict(sizing), "total": sizing.total}}
                for load, sizing in zip(loads, sizings, strict=True)
            ],
        }
        print_json(document)
        return 0
    print_lines(draw(["", *(f"{load.records:,.0f}/s" for load in loads)], rows(loads, sizings)))
    print_lines([f"Costs are US dollars a month, at the list prices of {PRICES_OF}; docs/SIZING.md has the sources."])
    return 0


def rows(loads: list[Load], sizings: list[Sizing]) -> list[list[str]]:
    """Return the table's rows, a column for each load."""
    cells = {
        "connectors, each with a table": [f"{sizing.tables}" for sizing in sizings],
        "BATCH_RECORDS (a full batch)": ["10000"] * len(loads),
        "BATCH_SECONDS": [f"{load.window:g}" for load in loads],
        "records of a batch": [f"{sizing.batch_records:,}" for sizing in sizings],
        "bytes of a batch": [f"{sizing.batch_bytes / 1e6:.1f} MB" for sizing in sizings],
        "CONNECTOR_CONCURRENCY of each": [f"{sizing.concurrency}" for sizing in sizings],
        "MEMORY_SIZE, CPU": [f"{load.memory_gb * 1024:.0f}, {load.vcpus:g}" for load in loads],
        "instances busy at once": [f"{sizing.instances}" for sizing in sizings],
        "upload sessions of a table's limit": [f"{sizing.sessions:.0%}" for sizing in sizings],
        "Function Compute": [_dollars(sizing.function) for sizing in sizings],
        "event stream, by events": [_dollars(sizing.stream) for sizing in sizings],
        "event stream, by capacity": [_dollars(sizing.stream_by_capacity) for sizing in sizings],
        "log store": [_dollars(sizing.log) for sizing in sizings],
        "MaxCompute storage": [_dollars(sizing.storage) for sizing in sizings],
        "all, with the cheaper stream": [_dollars(sizing.total) for sizing in sizings],
    }
    return [[name, *values] for name, values in cells.items()]


def _dollars(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 else f"{amount:.2f}"  # noqa: PLR2004 # cents matter below ten dollars


def _prices(given: list[str]) -> Prices:
    names = {field.name for field in fields(Prices)}
    prices = Prices()
    for text in given:
        name, equals, value = text.partition("=")
        if name not in names or not equals:
            raise SizingError(f"--price: expected NAME=DOLLARS with a NAME of {', '.join(sorted(names))}, found {text}")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf") or (name == "storage_compression" and number == 0):
            raise SizingError(f"--price: expected a number from 0 for {name}, found {value}")
        prices = replace(prices, **{name: number})
    return prices
