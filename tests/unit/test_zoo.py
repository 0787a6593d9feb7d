"""The zoo of batches: each file is what its script makes, and the sink makes of it what the README says."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest

from kafka_maxcompute.errors import MalformedBatchError
from local_emulator.batches import zoo
from tests.sink_delivery import Connector

RECORDED = {"orders.json", "test_message.json"}
README = (zoo.FOLDER / "README.md").read_text(encoding="utf-8")


class Expected(NamedTuple):
    """A row of the README's table."""

    name: str
    value_type: str
    holds: str
    rows: int
    letters: dict[str, int]
    error: str


def row(line: str) -> Expected:
    name, value_type, holds, rows, letters, error = (cell.strip() for cell in line.strip("|\n").split("|"))
    counted = (letter.split() for letter in letters.split(",") if letter)
    return Expected(
        name.strip("`"), value_type, holds, int(rows), {reason: int(count) for count, reason in counted}, error
    )


TABLE = {
    expected.name: expected for expected in map(row, (line for line in README.splitlines() if line.startswith("| `")))
}


def body(name: str) -> bytes:
    make = zoo.large().get(name)
    return make() if make else (zoo.FOLDER / name).read_bytes()


@pytest.mark.quick
def test_the_table_has_each_batch_once() -> None:
    assert set(TABLE) == RECORDED | zoo.batches().keys() | zoo.large().keys()
    assert README.count("| `") == len(TABLE)
    assert {path.name for path in zoo.FOLDER.glob("*.json")} == RECORDED | zoo.batches().keys()
    assert all(expected.holds for expected in TABLE.values())


@pytest.mark.quick
@pytest.mark.parametrize("name", zoo.batches())
def test_a_file_is_what_the_script_makes(name: str) -> None:
    assert body(name) == zoo.batches()[name]


@pytest.mark.quick
@pytest.mark.parametrize("name", sorted(TABLE.keys() - zoo.large().keys()))
def test_the_sink_makes_of_a_batch_what_the_readme_says(name: str) -> None:
    check(name, deliveries=2)


@pytest.mark.parametrize("name", zoo.large())
def test_the_largest_batches_too(name: str) -> None:
    assert len(body(name)) == 32 * 1024 * 1024
    check(name, deliveries=1)


def check(name: str, *, deliveries: int) -> None:
    """Deliver a batch so many times; further deliveries write nothing again."""
    expected, payload = TABLE[name], body(name)
    connector = Connector(value_type=expected.value_type)
    for _ in range(deliveries):
        error = ""
        try:
            connector.deliver(payload, seconds=600)
        except MalformedBatchError as refused:
            error = type(refused).__name__
        assert error == expected.error
        assert len(connector.visible) == expected.rows
    letters = connector.letters.letters
    placed = {
        (letter.topic, letter.partition, letter.offset, letter.reason)
        for letter in letters
        if letter.offset is not None
    }
    unplaced = [letter.reason for letter in letters if letter.offset is None]
    # A dead letter that doesn't say which record it is of is written at each delivery.
    found = Counter(reason for *_, reason in placed) + Counter(
        {reason: count // deliveries for reason, count in Counter(unplaced).items()}
    )
    assert found == expected.letters
