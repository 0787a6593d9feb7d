"""Letters of diverted records: which bytes each has, where they are from, and what is said of those that are gone."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.brokers.log_bounds import NO_SUCH_TOPIC
from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from kafka_maxcompute.dead_letters.dead_letter import MemoryDeadLetters
from kafka_maxcompute.dead_letters.error_topic import (
    JUDGED_EARLIER,
    UNCLAIMED,
    Claimed,
    DeliveredRecord,
    ErrorTopic,
    is_delivered,
)
from kafka_maxcompute.errors import NoSuchTopicError, RefusedError
from kafka_maxcompute.ledger.operations import Divert
from tests.deadlines import soon
from tests.sink_delivery import Hooked, Timed

if TYPE_CHECKING:
    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Wanted
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.offsets import Offsets, TopicPartition

pytestmark = pytest.mark.quick

ORDERS, RETURNS, NOWHERE_AT_ALL = ("orders", 3), ("returns", 7), ("never", 0)
THERE = frozenset({ORDERS, RETURNS})
LOGGED = Original(key=b"k", value=b"\xff", headers=(("h", b"\xfe"),), timestamp=1_000)
TOLD = DeliveredRecord(
    Original(key=b"k", value=b"as told", timestamp=1_000), message="no column for it", path="$.data.value"
)


class Logs(MemoryOriginals):
    """The logs of these topic-partitions; the brokers don't list any other."""

    def __init__(self, log: Found, there: frozenset[TopicPartition] = THERE) -> None:
        super().__init__(log)
        self._there = there

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:
        missing = wanted.keys() - self._there
        if missing:
            raise NoSuchTopicError("the brokers have no such topic", code=NO_SUCH_TOPIC, places=missing)
        return super().read(wanted, deadline)


class Forbidden(MemoryOriginals):
    """Logs that may not be read."""

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:  # noqa: ARG002 # the shape of all originals
        raise RefusedError("reading orders: not authorized", code="TOPIC_AUTHORIZATION_FAILED")


def knowing(*records: tuple[TopicPartition, int]) -> Known:
    """A delivery that has these records."""
    return lambda place, offset: TOLD if (place, offset) in records else None


def nobody(place: TopicPartition, offset: int) -> DeliveredRecord | None:  # noqa: ARG001 # it's one of `Known`
    return None


def written(
    logs: MemoryOriginals, offsets: Offsets, known: Known = nobody, claimed: Claimed = UNCLAIMED
) -> dict[tuple[TopicPartition, int], DeadLetter]:
    """The letters of one writing, each by the place that it names."""
    letters = MemoryDeadLetters()
    topic = ErrorTopic(Timed(letters), Timed(logs), "c", "request-1")
    topic.write({"not-csv": offsets}, soon(), known, claimed)
    found = {((letter.topic or "", letter.partition or 0), letter.offset or 0): letter for letter in letters.letters}
    assert len(found) == len(letters.messages)
    return found


def test_a_letter_names_its_record_and_has_its_bytes() -> None:
    logs = Logs({(ORDERS, 5): LOGGED, (RETURNS, 6): LOGGED})
    claimed = Claimed(generation=4)
    letters = written(logs, {ORDERS: ((5, 5),), RETURNS: ((6, 6),)}, knowing((RETURNS, 6)), claimed)
    assert letters.keys() == {(ORDERS, 5), (RETURNS, 6)}
    ours = letters[ORDERS, 5]
    assert (ours.record, ours.form, ours.message, ours.path) == (LOGGED, "original", JUDGED_EARLIER, "$.data")
    assert (ours.reason, ours.connector, ours.request_id, ours.generation) == ("not-csv", "c", "request-1", 4)
    theirs = letters[RETURNS, 6]
    assert (theirs.record, theirs.form) == (LOGGED, "original")
    assert (theirs.message, theirs.path) == ("no column for it", "$.data.value")


def test_without_anything_to_write_the_error_topic_is_not_asked() -> None:
    topic = ErrorTopic(Hooked(MemoryDeadLetters(), {"write": pytest.fail}), Logs({}), "c", "request-1")
    topic.write({"not-csv": {}}, soon())
    topic.write_elements([], soon())


def test_what_neither_log_nor_delivery_has_is_an_empty_letter_and_an_error_that_names_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    offsets = {ORDERS: ((5, 6), (8, 120)), RETURNS: ((9, 9), (11, 11))}
    with caplog.at_level(logging.ERROR):
        letters = written(Logs({(ORDERS, 5): LOGGED}), offsets, knowing((ORDERS, 6), (RETURNS, 9)))
    assert [letters[ORDERS, offset].form for offset in (5, 6)] == ["original", "as-delivered"]
    assert [letters[ORDERS, offset].cut for offset in (5, 6)] == [(), ()]
    assert letters[RETURNS, 9].record.value == b"as told"
    for place, offset in [(ORDERS, 8), (ORDERS, 120), (RETURNS, 11)]:
        empty = letters[place, offset]
        assert (empty.record.key, empty.record.value, empty.form) == (None, None, "as-delivered")
        assert empty.cut == ("value", "headers", "key")
    first, second = caplog.records
    assert "no longer has diverted records" in first.message
    assert vars(first)["records"] == [f"orders-3-{offset}" for offset in range(8, 108)]
    assert vars(first)["count"] == 113
    assert (vars(second)["records"], vars(second)["count"]) == (["returns-7-11"], 1)


def test_what_is_at_hand_of_every_record_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    written(Logs({(ORDERS, 5): LOGGED}), {ORDERS: ((5, 6),)}, knowing((ORDERS, 6)))
    assert caplog.records == []


def test_a_topic_that_is_not_there_takes_no_log_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """A delivery can name any topic; its own bytes are the letter then."""
    logs = Logs({(ORDERS, 5): LOGGED, (RETURNS, 6): LOGGED})
    offsets = {ORDERS: ((5, 5),), NOWHERE_AT_ALL: ((0, 1), (4, 4)), RETURNS: ((6, 6),)}
    never = [(NOWHERE_AT_ALL, offset) for offset in (0, 1, 4)]
    letters = written(logs, offsets, knowing(*never))
    assert {at: letter.form for at, letter in letters.items()} == {
        (ORDERS, 5): "original",
        **dict.fromkeys(never, "as-delivered"),
        (RETURNS, 6): "original",
    }
    assert {letters[at].record.value for at in never} == {b"as told"}
    (warning,) = caplog.records
    assert warning.message == "dead letters hold what was delivered: the brokers have no such topic"


def test_topics_that_are_missed_one_after_the_other_take_no_log_from_the_others() -> None:
    class Forgetting(Logs):
        """Brokers that don't list any more of the topics at each question."""

        def read(self, wanted: Wanted, deadline: Deadline) -> Found:
            missing = sorted(wanted.keys() - THERE)[:1]
            if missing:
                raise NoSuchTopicError("the brokers have no such topic", code=NO_SUCH_TOPIC, places=missing)
            return super().read(wanted, deadline)

    gone = [("gone", 1), ("never", 0)]
    offsets: Offsets = {ORDERS: ((5, 5),), **dict.fromkeys(gone, ((3, 3),))}
    letters = written(Forgetting({(ORDERS, 5): LOGGED}), offsets, knowing(*((place, 3) for place in gone)))
    assert {at: letter.form for at, letter in letters.items()} == {
        (ORDERS, 5): "original",
        **{(place, 3): "as-delivered" for place in gone},
    }


@pytest.mark.parametrize("unknown", [0, 1, 4])
def test_a_record_of_a_topic_that_is_not_there_stops_it_if_nobody_has_the_record(unknown: int) -> None:
    offsets = {ORDERS: ((5, 5),), NOWHERE_AT_ALL: ((0, 1), (4, 4))}
    known = knowing(*((NOWHERE_AT_ALL, offset) for offset in (0, 1, 4) if offset != unknown))
    with pytest.raises(RefusedError, match="no such topic"):
        written(Logs({(ORDERS, 5): LOGGED}), offsets, known)


def test_a_log_that_may_not_be_read_stops_it_whatever_is_at_hand() -> None:
    with pytest.raises(RefusedError, match="not authorized"):
        written(Forbidden({}), {ORDERS: ((5, 5),)}, knowing((ORDERS, 5)))


def test_a_record_that_is_later_than_all_that_are_claimed_is_another_one() -> None:
    divert = Divert(
        id="d",
        offsets={ORDERS: ((5, 6),)},
        reasons={},
        generation=4,
        timestamps={ORDERS: 1_000, RETURNS: 999},
        untimed={ORDERS: ((6, 6),)},
    )
    claimed, later = Claimed.by(divert), replace(LOGGED, timestamp=1_001)
    assert (claimed.generation, claimed.other_logs) == (4, frozenset())
    assert claimed.is_of(ORDERS, 5, LOGGED)
    assert not claimed.is_of(ORDERS, 5, later)
    assert claimed.is_of(ORDERS, 6, later)
    assert claimed.is_of(ORDERS, 5, replace(LOGGED, timestamp=None))
    assert not claimed.is_of(RETURNS, 5, LOGGED)
    assert claimed.is_of(("unclaimed", 0), 5, later)
    assert not replace(claimed, other_logs=frozenset({ORDERS})).is_of(ORDERS, 6, LOGGED)


def test_a_log_that_is_not_the_records_own_has_nothing_for_a_letter() -> None:
    claimed = Claimed(timestamps={ORDERS: 999})
    letters = written(Logs({(ORDERS, 5): LOGGED, (ORDERS, 6): LOGGED}), {ORDERS: ((5, 6),)}, claimed=claimed)
    assert {letter.record.value for letter in letters.values()} == {None}


@pytest.mark.parametrize(("delivered", "logged", "same"), [(None, None, True), (b"", None, True), (None, b"k", False)])
def test_no_key_is_the_same_as_no_key(delivered: bytes | None, logged: bytes | None, *, same: bool) -> None:
    told = replace(TOLD, record=replace(TOLD.record, key=delivered))
    assert is_delivered(replace(LOGGED, key=logged), told) is same


@pytest.mark.parametrize(
    ("logged", "named", "time", "same"),
    [
        (b"k", b"k", 1_000, True),
        (b"k", b"other", 1_000, False),
        (b"k", None, 1_000, True),
        (b"k", None, None, True),
        (b"k", None, 1_001, False),
        (b"k", b"k", 1_001, False),
        (b"k", b"k", None, True),
        (b"k", b"aw==", 1_000, True),
        (None, b"", 1_000, True),
        (None, b"other", 1_000, False),
        (b"k", "a\ufffd".encode(), 1_000, True),
    ],
)
def test_an_event_that_cannot_be_read_is_the_logs_record_by_its_time_and_the_key_that_it_names(
    logged: bytes | None, named: bytes | None, time: int | None, same: bool
) -> None:
    event = DeliveredRecord(Original(key=b"never compared", value=b"{", timestamp=time), "event", key=named)
    assert is_delivered(replace(LOGGED, key=logged), event) is same
