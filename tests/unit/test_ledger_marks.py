"""Marks: where they begin, how they move, and what they say of a log."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from kafka_maxcompute.brokers.log_bounds import NO_SUCH_TOPIC
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.dead_letters.error_topic import DeliveredRecord
from kafka_maxcompute.errors import NoSuchTopicError, UnavailableError
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.identity import genesis
from kafka_maxcompute.ledger.operations import Mark, Settle, State
from tests.deadlines import soon
from tests.ledger_entries import GENESIS, PLACE, claim, divert, folded, reset
from tests.ledger_logs import Timely

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Wanted
    from kafka_maxcompute.offsets import Intervals, TopicPartition

pytestmark = pytest.mark.quick

OTHER = ("orders", 1)


def record(offset: int, value: bytes = b"v") -> Original:
    return Original(key=b"k%d" % offset, value=value, timestamp=1_000 + offset)


def log_of(offsets: Iterable[int], place: TopicPartition = PLACE, value: bytes = b"v") -> Found:
    return {(place, offset): record(offset, value) for offset in offsets}


def known(place: TopicPartition, offset: int) -> DeliveredRecord | None:
    _, number = place
    return DeliveredRecord(record(offset)) if number < 9 else None


class Partial(Timely):
    """Logs of brokers that know the topic-partitions of `log` alone."""

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:
        there = {where for where, _ in self.log}
        if missing := wanted.keys() - there:
            self.reads += 1
            raise NoSuchTopicError("the brokers have no such topics", code=NO_SUCH_TOPIC, places=missing)
        return super().read(wanted, deadline)


class TestADigest:
    @pytest.mark.parametrize(
        "other",
        [
            replace(record(1), key=b"k2"),
            replace(record(1), key=None),
            replace(record(1), value=b"w"),
            replace(record(1), value=None),
            replace(record(1), timestamp=1_002),
            replace(record(1), timestamp=None),
            replace(record(1), headers=(("h", b""),)),
        ],
    )
    def test_it_is_of_all_that_a_record_has(self, other: Original) -> None:
        assert marks.digest(record(1)) == marks.digest(record(1))
        assert marks.digest(other) != marks.digest(record(1))


class TestBeginnings:
    def begun(self, state: State, log: Found, last: int = 9) -> dict[TopicPartition, Mark]:
        return marks.beginnings(state, {PLACE: ((0, last),)}, known, Timely(log), soon())

    def test_the_last_record_of_the_batch_that_the_log_has(self) -> None:
        assert self.begun(folded(GENESIS), log_of(range(12))) == {PLACE: Mark(9, marks.digest(record(9)))}
        assert self.begun(folded(GENESIS), {}) == {}
        assert self.begun(folded(GENESIS), log_of([0, 7])) == {PLACE: Mark(7, marks.digest(record(7)))}
        assert self.begun(folded(GENESIS), log_of(range(40)), last=30) == {PLACE: Mark(30, marks.digest(record(30)))}

    def test_the_log_needs_the_first_record(self) -> None:
        """A batch with records of two logs has those of the former one first, which this log may have lost."""
        for there, last in (([0], 0), ([0, 7], 9), ([0, 15], 30), ([0, 15], 40), ([0, 14, 30], 30)):
            mark = Mark(there[-1], marks.digest(record(there[-1])))
            assert self.begun(folded(GENESIS), log_of(there), last=last) == {PLACE: mark}
            assert self.begun(folded(GENESIS), log_of(there[1:]), last=last) == {}
        assert self.begun(folded(GENESIS), log_of([0, 16]), last=40) == {PLACE: Mark(0, marks.digest(record(0)))}

    def test_none_in_a_log_of_other_records(self, caplog: pytest.LogCaptureFixture) -> None:
        log = {(PLACE, offset): replace(one, timestamp=5) for (_, offset), one in log_of(range(10)).items()}
        assert self.begun(folded(GENESIS), log) == {}
        (told,) = caplog.records
        assert "gets no mark" in told.message
        assert (vars(told)["topic"], vars(told)["partition"]) == PLACE

    def test_of_an_event_that_is_no_record_only_the_time_is_compared(self) -> None:
        event = DeliveredRecord(Original(key=None, value=b"{", timestamp=1_009), "event")
        told = {PLACE: ((9, 9),)}, lambda *_: event, Timely(log_of([9])), soon()
        assert marks.beginnings(folded(GENESIS), *told) == {PLACE: Mark(9, marks.digest(record(9)))}

    @pytest.mark.parametrize(
        ("key", "logged", "begins"),
        [
            (b"k", b"k", True),
            (b"k", b"other", False),
            (b"aw==", b"k", True),
            ("\ufffd".encode(), b"\xff", True),
            (b"", None, True),
            (b"", b"k", False),
            (None, b"k", True),
        ],
    )
    def test_of_an_event_that_names_its_key_the_key_is_compared_too(
        self, key: bytes | None, logged: bytes | None, begins: bool
    ) -> None:
        event = DeliveredRecord(Original(key=None, value=b"{", timestamp=1_009), "event", key=key)
        log = {(PLACE, 9): replace(record(9), key=logged)}
        found = marks.beginnings(folded(GENESIS), {PLACE: ((9, 9),)}, lambda *_: event, Timely(log), soon())
        assert (PLACE in found) == begins

    def test_none_in_a_log_of_records_with_other_values(self) -> None:
        """A topic that was filled again has the same times, and perhaps no keys."""
        assert self.begun(folded(GENESIS), log_of(range(10), value=b"other")) == {}
        # One of them tells that the batch isn't of this log, or not all of it.
        assert self.begun(folded(GENESIS), log_of(range(10)) | log_of([4], value=b"other")) == {}
        assert self.begun(folded(GENESIS), log_of(range(10)) | log_of([9], value=b"other")) == {}
        # The records of the former topic come first.
        assert self.begun(folded(GENESIS), log_of(range(40)) | log_of([2], value=b"other"), last=39) == {}
        untold = {PLACE: ((0, 9),)}, lambda *_: None, Timely(log_of(range(10))), soon()
        assert marks.beginnings(folded(GENESIS), *untold).keys() == {PLACE}

    @pytest.mark.parametrize(
        ("logged", "delivered", "begins"),
        [
            (b"a\xff\xfeb", "a\ufffdb", True),
            (b"a\xffb", "a\ufffd\ufffdb", True),
            (b"a\xffb", "a\ufffdc", False),
            (b"ab", "a\ufffdb", False),
            (b'{"a": "\xff"}', '{"a":"\ufffd"}', True),
        ],
    )
    def test_a_value_is_compared_as_the_stream_makes_it_a_text(
        self, logged: bytes, delivered: str, begins: bool
    ) -> None:
        told = DeliveredRecord(record(9, delivered.encode()))
        originals = Timely(log_of([9], value=logged))
        found = marks.beginnings(folded(GENESIS), {PLACE: ((9, 9),)}, lambda *_: told, originals, soon())
        assert (PLACE in found) == begins

    def test_none_if_something_is_claimed_already(self) -> None:
        claimed = (GENESIS, claim("s", 20, 29, begins=29))
        # As long as it's pending, the marks of both claims are compared when they are settled.
        assert self.begun(folded(*claimed), log_of(range(40))) == {PLACE: Mark(9, marks.digest(record(9)))}
        assert self.begun(folded(*claimed, Settle(id="s")), log_of(range(40))) == {}
        assert self.begun(folded(GENESIS, claim("s", 20, 29), Settle(id="s")), log_of(range(40))) == {}

    def test_one_after_a_reset(self) -> None:
        assert PLACE in self.begun(folded(GENESIS, reset(start=5)), log_of(range(10)))

    def test_a_topic_that_is_not_there_has_none_and_harms_no_other(self) -> None:
        originals = Partial(log_of(range(10)))
        covered = {PLACE: ((0, 9),), **{("nowhere", number): ((0, 9),) for number in range(7)}}
        assert marks.beginnings(folded(GENESIS), covered, known, originals, soon()).keys() == {PLACE}
        assert originals.reads == 2

    def test_brokers_that_do_not_answer_fail_it(self) -> None:
        class Silent(Timely):
            def read(self, wanted: Wanted, deadline: Deadline) -> Found:  # noqa: ARG002 # it never answers
                raise UnavailableError("no answer")

        with pytest.raises(UnavailableError):
            marks.beginnings(folded(GENESIS), {PLACE: ((0, 9),)}, known, Silent(), soon())


class TestLaterMarks:
    MARKED = structs.replace(
        folded(GENESIS, claim("s", 0, 9), Settle(id="s")),
        marks={PLACE: Mark(9, marks.digest(record(9)))},
    )

    def advanced(
        self, log: Found, state: State = MARKED, offsets: Intervals = ((10, 19),)
    ) -> dict[TopicPartition, Mark]:
        return marks.advanced(state, {PLACE: offsets, OTHER: ((0, 9),)}, known, Timely(log), soon())

    def test_a_record_of_the_same_log(self) -> None:
        assert self.advanced(log_of(range(25))) == {PLACE: Mark(19, marks.digest(record(19)))}

    def test_none_of_another_log(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.advanced(log_of(range(25))) != {}
        assert self.advanced(log_of(range(10, 25))) == {}
        assert caplog.records == []
        assert self.advanced(log_of(range(25)) | log_of([9], value=b"other")) == {}
        told = caplog.records[0]
        assert "isn't the ledger's" in told.message
        assert (vars(told)["topic"], vars(told)["partition"]) == PLACE

    def test_none_if_the_marked_record_is_gone(self) -> None:
        assert self.advanced(log_of(range(10, 25))) == {}

    def test_a_mark_with_a_beginning_keeps_it(self) -> None:
        begun = structs.replace(self.MARKED, marks={PLACE: Mark(9, marks.digest(record(9)), 5)})
        assert self.advanced(log_of(range(25)), begun) == {PLACE: Mark(19, marks.digest(record(19)), 5)}

    @pytest.mark.parametrize("other", [30, 45, 84, 99])
    def test_none_if_a_record_at_either_end_of_the_batch_is_another_one(self, other: int) -> None:
        there = log_of(range(100))
        assert self.advanced(there, offsets=((30, 99),)) == {PLACE: Mark(99, marks.digest(record(99)))}
        assert self.advanced(there | log_of([other], value=b"other"), offsets=((30, 99),)) == {}

    def test_none_that_is_earlier(self) -> None:
        originals = Timely(log_of(range(25)))
        for last in (5, 9):
            assert marks.advanced(self.MARKED, {PLACE: ((0, last),)}, known, originals, soon()) == {}
        assert originals.reads == 0
        assert self.advanced(log_of([9])) == {}


@pytest.mark.parametrize(
    ("topics", "since", "unsure"),
    [
        ({"orders": "id"}, None, False),
        ({"orders": "id"}, 0, False),
        ({"orders": "id"}, 1, True),
        ({"0": "id"}, 0, True),
    ],
)
def test_where_claims_are_compared_with_the_log(topics: dict[str, str], since: int | None, unsure: bool) -> None:
    found = {} if since is None else {PLACE: Mark(9, "d", since)}
    state = State(generation=1, identity=genesis("orders", "p.t", 1, topics).identity, marks=found)
    assert marks.is_unsure(state, PLACE) == unsure
    assert marks.is_unsure(structs.replace(state, identity=None), PLACE)


class TestABatchThatDiffersFromTheLog:
    def differing(
        self, log: Found, *offsets: tuple[int, int], end: int | None = 1_000, events: Container[int] = ()
    ) -> frozenset[TopicPartition]:
        self.asked: list[TopicPartition] = []

        def ends(places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
            self.asked += places
            return {} if end is None else dict.fromkeys(places, end)

        def delivered(_: TopicPartition, offset: int) -> DeliveredRecord | None:
            if offset in events:
                return DeliveredRecord(replace(record(offset), key=None, value=b"{"), "event")
            return DeliveredRecord(record(offset))

        return marks.differing({PLACE: offsets}, delivered, Timely(log), ends, soon())

    def test_a_batch_of_the_log(self) -> None:
        assert self.differing(log_of(range(200)), (20, 99)) == frozenset()
        assert self.differing(log_of(range(200)), (20, 20), (40, 99)) == frozenset()
        assert self.asked == []

    @pytest.mark.parametrize("other", [20, 35, 84, 99])
    def test_the_first_and_the_last_sixteen_records_are_compared(self, other: int) -> None:
        assert self.differing(log_of(range(200)) | log_of([other], value=b"other"), (20, 99)) == {PLACE}
        assert self.differing(log_of(range(200)) | log_of([36, 83], value=b"other"), (20, 99)) == frozenset()

    @pytest.mark.parametrize(
        "offsets", [((20, 29), (40, 99)), ((20, 79), (90, 99)), ((20, 20), (30, 99)), ((20, 98), (100, 100))]
    )
    def test_the_sixteen_are_those_of_the_batch(self, offsets: Intervals) -> None:
        batch = [offset for first, last in offsets for offset in range(first, last + 1)]
        for other in (*batch[:16], *batch[-16:]):
            assert self.differing(log_of(range(200)) | log_of([other], value=b"other"), *offsets) == {PLACE}
        elsewhere = set(range(200)) - {*batch[:16], *batch[-16:]}
        assert self.differing(log_of(range(200)) | log_of(elsewhere, value=b"other"), *offsets) == frozenset()

    def test_an_event_that_is_no_record_is_not_one_of_the_sixteen(self) -> None:
        other = log_of(range(200)) | log_of([50], value=b"other")
        assert self.differing(other, (20, 99)) == frozenset()
        assert self.differing(other, (20, 99), events=range(20, 50)) == {PLACE}
        assert self.differing(other, (20, 99), events=range(51, 100)) == {PLACE}

    def test_such_events_are_among_the_sixteen_if_they_name_their_keys(self) -> None:
        def delivered(_: TopicPartition, offset: int) -> DeliveredRecord | None:
            return DeliveredRecord(replace(record(offset), key=None, value=b"{"), "event", key=record(offset).key)

        for other in (20, 35, 84, 99):
            log = Timely({**log_of(range(200)), (PLACE, other): replace(record(other), key=b"other")})
            assert marks.differing({PLACE: ((20, 99),)}, delivered, log, lambda _: {}, soon()) == {PLACE}

    def test_a_batch_of_such_events_is_compared_by_the_time_of_the_last(self) -> None:
        assert self.differing(log_of(range(200)), (20, 99), events=range(200)) == frozenset()
        later = {(PLACE, 99): replace(record(99), timestamp=5)}
        assert self.differing(log_of(range(200)) | later, (20, 99), events=range(200)) == {PLACE}

    def test_a_log_that_ends_before_the_batch(self) -> None:
        assert self.differing(log_of(range(50)), (20, 99), end=99) == {PLACE}
        assert self.differing(log_of(range(50)), (20, 99), end=100) == frozenset()
        assert self.asked == [PLACE]

    def test_a_topic_that_is_not_there(self) -> None:
        assert self.differing({}, (20, 99), end=None) == {PLACE}
        assert self.differing({}, (0, 0), end=None) == {PLACE}

    def test_ends_are_asked_for_only_if_a_last_record_is_missing(self) -> None:
        def ends(_: Collection[TopicPartition]) -> dict[TopicPartition, int]:
            raise AssertionError

        assert marks.differing({PLACE: ((0, 9),)}, known, Timely(log_of(range(10))), ends, soon()) == frozenset()

    def test_each_topic_partition_is_compared_by_itself(self) -> None:
        log = log_of(range(50)) | log_of(range(50), OTHER, value=b"other")
        covered = {PLACE: ((0, 9),), OTHER: ((0, 9),)}
        assert marks.differing(covered, known, Timely(log), lambda _: {}, soon()) == {OTHER}


class TestALook:
    STATE = structs.replace(TestLaterMarks.MARKED, pending={})

    def test_it_has_the_digest_at_the_mark(self) -> None:
        found = marks.look(self.STATE, {PLACE: ((2, 3),)}, Timely(log_of(range(10))), soon(), known)
        assert found == marks.Look({PLACE: self.STATE.marks[PLACE].digest})
        assert marks.look(self.STATE, {PLACE: ((2, 3),)}, Timely(), soon()).digests == {PLACE: ""}

    def test_topic_partitions_that_are_gone(self) -> None:
        found = marks.look(self.STATE, {PLACE: ((2, 3),), OTHER: ((0, 0),)}, Partial(log_of([9])), soon())
        assert (set(found.gone), set(found.digests)) == ({OTHER}, {PLACE})

    @pytest.mark.parametrize(
        ("delivered", "differs"),
        [
            (DeliveredRecord(record(3)), False),
            (DeliveredRecord(replace(record(3), timestamp=7)), True),
            (DeliveredRecord(replace(record(3), timestamp=-1)), False),
            (DeliveredRecord(replace(record(3), key=b"other")), True),
            (DeliveredRecord(replace(record(3), key=None)), True),
            (DeliveredRecord(replace(record(3), key="k\ufffd".encode())), False),
            (DeliveredRecord(replace(record(3), key=None), "event"), False),
            (DeliveredRecord(replace(record(3), key=b64encode(b"k3"))), False),
            (DeliveredRecord(replace(record(3), key=b64encode(b"k4"))), True),
            (None, False),
        ],
    )
    def test_a_log_with_other_records_than_those_delivered(
        self, delivered: DeliveredRecord | None, differs: bool
    ) -> None:
        originals = Timely(log_of(range(10)))
        told = {3: delivered}
        found = marks.look(self.STATE, {PLACE: ((3, 3),)}, originals, soon(), lambda _, offset: told.get(offset))
        assert found.differing == ({PLACE: ((3, 3),)} if differs else {})

    @pytest.mark.parametrize(
        ("logged", "differing", "others"),
        [
            (range(40), {35}, ((35, 35),)),
            # One of the last records brings it to light; all of them are compared then.
            (range(40), {2, 3, 35}, ((2, 3), (35, 35))),
            (range(40), set(range(40)), ((0, 39),)),
            # Records of a former log come before those of this one.
            (range(40), set(range(30)), ((0, 29),)),
            ([*range(10), *range(20, 40)], {25}, ((25, 25),)),
            ([*range(10), *range(20, 40)], {*range(5), *range(20, 30)}, ((0, 4), (10, 29))),
            (range(38), {37}, ((37, 39),)),
            (range(38), {36}, ((36, 36),)),
        ],
    )
    def test_only_the_records_that_differ_are_of_another_log(
        self, logged: Iterable[int], differing: set[int], others: Intervals
    ) -> None:
        def told(place: TopicPartition, offset: int) -> DeliveredRecord:
            other = place == PLACE and offset in differing
            return DeliveredRecord(replace(record(offset), key=b"k%d " % offset) if other else record(offset))

        originals = Timely(log_of(logged) | log_of(range(9), OTHER))
        found = marks.look(self.STATE, {PLACE: ((0, 39),), OTHER: ((0, 2),)}, originals, soon(), told)
        assert found.differing == {PLACE: others}

    def test_the_mark_is_compared_only_if_it_is_delivered(self) -> None:
        told = {3: DeliveredRecord(replace(record(3), key=b"other"))}
        found = marks.look(
            self.STATE,
            {PLACE: ((2, 3),)},
            Timely(log_of([9, 3])),
            soon(),
            lambda _, offset: told.get(offset),
        )
        assert found.differing == {PLACE: ((2, 3),)}


def test_the_logs_that_are_not_those_of_a_pending_divert() -> None:
    pending = structs.replace(divert("d", 3, 3), begins={PLACE: Mark(3, marks.digest(record(3)))})
    state = folded(GENESIS, pending)
    assert marks.other_logs(pending, state, Timely(log_of(range(10))), soon()) == frozenset()
    assert marks.other_logs(pending, state, Timely(), soon()) == frozenset()
    assert marks.other_logs(pending, state, Timely(log_of(range(10), value=b"other")), soon()) == {PLACE}


def test_the_marks_of_the_logs_that_are_there() -> None:
    bounds = {PLACE: (0, 10), OTHER: (5, 5)}
    assert marks.of_logs(bounds, Timely(log_of(range(8))), soon()) == {PLACE: Mark(7, marks.digest(record(7)))}
    for offset, there in ((39, True), (24, True), (23, False)):
        assert (PLACE in marks.of_logs({PLACE: (0, 40)}, Timely(log_of([offset])), soon())) == there
