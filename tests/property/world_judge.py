"""What has to hold in a small world, judged by the table's rows, the letters and a ledger told in the plainest way."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.dead_letters.error_topic import UNLOGGED
from kafka_maxcompute.errors import RejectedRecordsError
from tests.property.source_topic import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
    from kafka_maxcompute.offsets import TopicPartition
    from tests.property.delivery_world import World
    from tests.property.reference_fold import At
    from tests.property.source_topic import SourceRecord
    from tests.property.world_services import Delivery


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, and the era of whoever wrote it."""

    letter: DeadLetter
    era: int

    def is_of(self, record: SourceRecord, *, alone: bool = True) -> bool:
        """Whether it's this record's, by what it holds; one that says nothing is so only if no other can be meant."""
        text = (self.letter.record.key or b"") + b" " + (self.letter.record.value or b"")
        said = re.findall(rf"[kv](\d+)-{record.id[1]}-{record.id[2]}\b".encode(), text)
        return str(record.id[0]).encode() in said if said else alone


def check_stopped(world: World, delivery: Delivery, error: BaseException | None) -> None:
    """A delivery that is to stop at a bad record writes nothing that comes after it, and isn't acknowledged."""
    records = delivery.batch.records
    # Which one of two records at an offset is the batch's, a topic that was created again decides.
    if not delivery.stops or delivery.era != world.era or len({one.at for one in records}) < len(records):
        return
    settled = world.truth.settled
    first = delivery.stop_at(settled)
    refused = [one for one in delivery.batch.records if one.kind is Kind.REFUSED and one.at not in settled]
    late = [one for one in delivery.batch.records if one.kind in {Kind.REFUSED, Kind.REPLACED}]
    assert error is not None or not (first or refused), f"acknowledged although it's to stop at {first} or {refused}"
    assert error is not None or not delivery.batch.placeless, "acknowledged although it's to stop at an element"
    mine = [row for id_, one in world.opened.items() if one is delivery for row in world.table.staged.get(id_, ())]
    for row in mine:
        assert row.offset < first.get(row.place, row.offset + 1), f"{row} comes after {first}, where it's to stop"
    if delivery.batch.placeless:
        before = {one.at for one in delivery.before()}
        assert {(row.place, row.offset) for row in mine} <= before, "what comes after a bad element is written"
    if isinstance(error, RejectedRecordsError):
        stop = delivery.stop_at()
        for one in () if late else delivery.before():
            written = one.at in settled or one.id[2] >= stop.get(one.place, one.id[2] + 1)
            assert written, f"{one.id} comes before where it stops, and isn't written"


def diverted_in(world: World) -> dict[tuple[TopicPartition, int], list[Letter]]:
    """The letters of records since the last reset of their topic-partitions; one written twice is one."""
    found: dict[tuple[TopicPartition, int], list[Letter]] = {}
    for one in world.letters:
        letter = one.letter
        if letter.topic is not None and letter.partition is not None and letter.offset is not None:
            place = (letter.topic, letter.partition)
            if one.era >= world.eras.get(place, 0):
                found.setdefault((place, letter.offset), []).append(one)
    return found


def check(world: World) -> None:
    """What holds at any moment."""
    rows = Counter(row.id for row in world.table.rows)
    twice = [id_ for id_, count in rows.items() if count > 1]
    assert not twice, f"rows twice: {sorted(twice)}"
    diverted = diverted_in(world)
    for row in world.table.rows:
        known = world.known.get(row.id)
        assert known is not None, f"a row of no record: {row}"
        assert (row.place, row.offset) == known.at, f"a row in another's place: {row}"
        assert (row.partition_value, row.key, row.value) == known.row, f"a row that isn't its record: {row}"
        letters = [one for one in diverted.get(known.at, ()) if one.letter.reason != UNLOGGED]
        both = any(one.is_of(known, alone=known.id[0] == world.topic.incarnation) for one in letters)
        assert not both, f"row and letter: {known.id}"
        assert known.kind not in {Kind.BAD, Kind.REFUSED}, f"a row of a record that can't be written: {known}"
    visible = {row.id for row in world.table.rows}
    lost = {one.id for one in _wanted(world) if one.id not in visible and not _is_told(world, one, diverted)}
    assert not lost, f"acknowledged and lost: {sorted(lost)}"
    places = {(row.place, row.offset) for row in world.table.rows} | diverted.keys() | _nothing_there(world)
    nowhere = world.truth.settled - places
    assert not nowhere, f"settled and nowhere: {sorted(nowhere)}"
    told = {bytes(one.letter.record.value or b"").decode() for one in world.letters if one.letter.topic is None}
    assert world.texts <= told, f"acknowledged and lost: elements {sorted(world.texts - told)}"
    if world.stops:
        wrong = [one for one in world.letters if one.letter.reason != UNLOGGED]
        assert not wrong, "a letter although the policy is to stop"


def _is_told(world: World, record: SourceRecord, diverted: Mapping[At, list[Letter]]) -> bool:
    """Whether there's a letter of a record; one of another record with the same time can't be told from it."""
    letters = diverted.get(record.at, ())
    return any(one.is_of(record) for one in letters) or (bool(letters) and world.topic.had_same_times)


def _wanted(world: World) -> Iterator[SourceRecord]:
    """What is acknowledged and wasn't skipped by a reset."""
    starts = world.truth.starts
    return (one for one in world.acknowledged if one.id[2] >= starts.get(one.place, 0))


def _nothing_there(world: World) -> set[tuple[TopicPartition, int]]:
    """The offsets without a record to deliver: before the starts, and the log's gaps."""
    before = {(place, offset) for place, start in world.truth.starts.items() for offset in range(start)}
    return before | world.topic.gaps(world.recognized)


def check_whole(world: World) -> None:
    """Every record that the topic has is in its one place, and letters hold what the log has."""
    diverted, visible = diverted_in(world), {row.id for row in world.table.rows}
    starts = world.truth.starts
    for one in world.topic.delivered():
        if one.id[2] < starts.get(one.place, 0):
            continue
        letters = [letter for letter in diverted.get(one.at, ()) if letter.letter.reason != UNLOGGED]
        is_letter = any(letter.is_of(one) for letter in letters)
        assert (one.id in visible) != is_letter, f"not in its one place: {one}"
        if one.kind is Kind.GOOD:
            assert one.id in visible, f"a letter of a record that can be written: {one}"
        elif one.kind is Kind.REPLACED and not (world.topic.was_truncated or world.topic.incarnation):
            assert is_letter, f"a row of bytes that aren't UTF-8: {one}"
        elif is_letter:
            _check_letters(world, one, letters)


def _check_letters(world: World, one: SourceRecord, letters: list[Letter]) -> None:
    for letter in letters:
        wrong = f"a letter that isn't its record: {letter} of {one}"
        if letter.letter.form == "original" and not letter.letter.cut:
            found = letter.letter.record
            assert (found.key, found.value, found.headers) == (
                one.original.key,
                one.original.value,
                one.original.headers,
            ), wrong
        # A log whose mark is of the topic before has nothing for the letters of a divert.
        is_another = world.topic.incarnation != world.recognized
        assert letter.letter.form == "original" or world.topic.was_truncated or is_another, wrong
