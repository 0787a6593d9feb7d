"""Ledgers that earlier releases have written are read, and the format of today's is the one in use.

The files in tests/ledgers were written by the code of the releases, a line an operation. Don't write them again: if a
test fails after a change of the format, the change needs a new version of the operations, and a further file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_maxcompute.ledger.operations import READABLE, Claim, Snapshot, State, decode, encode
from kafka_maxcompute.ledger.state import fold

pytestmark = pytest.mark.quick

LEDGERS = Path(__file__).resolve().parents[1] / "ledgers"
FILES = sorted(LEDGERS.glob("*.jsonl"))
FIRST_TIME = 1_605_594_600_000
PLACES = ("orders", 0), ("orders", 1)


def lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines()


def folded(file: Path) -> tuple[State, Snapshot]:
    """The state that the file's operations give, and the snapshot that its release wrote of the state."""
    *operations, snapshot = map(decode, lines(file))
    assert isinstance(snapshot, Snapshot)
    state = State()
    for offset, operation in enumerate(operations):
        state = fold(state, operation, offset, FIRST_TIME + 1_000 * offset)
    return state, snapshot


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_older_ledger_gives_the_state_that_its_release_had(file: Path) -> None:
    state, snapshot = folded(file)
    assert state == snapshot.state
    assert state.settled == {PLACES[0]: ((0, 139),), PLACES[1]: ((0, 9),)}
    assert list(state.pending) == ["s-4"]
    claim = state.pending["s-4"].operation
    assert isinstance(claim, Claim)
    assert (claim.rows, claim.offsets) == (10, {PLACES[1]: ((10, 19),)})
    assert {place: mark.offset for place, mark in state.marks.items()} == {PLACES[0]: 139, PLACES[1]: 9}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_older_snapshot_is_a_state_that_goes_on(file: Path) -> None:
    _, snapshot = folded(file)
    state = fold(snapshot.state, decode(b'{"v":1,"op":"settle","id":"s-4"}'), 11, FIRST_TIME)
    assert state.settled[PLACES[1]] == ((0, 19),)
    assert not state.pending


def test_each_version_that_is_readable_stands_in_a_file() -> None:
    written = {int(line.split(b",", 1)[0].removeprefix(b'{"v":')) for file in FILES for line in lines(file)}
    assert written == set(READABLE)


def test_this_release_writes_the_newest_file_as_it_is() -> None:
    for line in lines(FILES[-1]):
        assert encode(decode(line)) == line
