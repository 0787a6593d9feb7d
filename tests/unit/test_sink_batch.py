"""batch: what a delivery still has to write, and what it knows of records whose originals are gone."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from maxcompute_sink import batch
from maxcompute_sink.blocks import Coverage
from maxcompute_sink.decode import Decoded, Decoder
from maxcompute_sink.rejected import Rejected
from tests.kafka_events import HOUR_14, element, payload

pytestmark = pytest.mark.quick

ORDERS = ("orders", 0)


def decoded(*elements: object, value_type: str = "Text") -> Decoded:
    return Decoder(value_type).decode(payload(*elements))


@pytest.mark.parametrize(
    ("value_type", "value", "kept"),
    [
        ("Text", "wörter", "wörter".encode()),
        ("Text", "", b""),
        ("Text", None, None),
        ("Json", {"a": [1]}, b'{"a": [1]}'),
        ("Json", None, None),
        ("Json", ..., None),
        ("Json", "", b'""'),
        ("Binary", base64.b64encode(b"\xff\x00").decode(), b"\xff\x00"),
        ("Binary", base64.b64encode(b"null").decode(), b"null"),
        ("Binary", None, None),
    ],
)
def test_a_record_as_delivered(value_type: str, value: object, kept: bytes | None) -> None:
    known = batch.known(decoded(element(1, value=value), value_type=value_type))(ORDERS, 1)
    assert known is not None
    assert (known.record.key, known.record.value, known.record.timestamp) == (b"k1", kept, HOUR_14)
    assert known.form == "as-delivered"


def test_of_other_records_nothing_is_known() -> None:
    known = batch.known(decoded(element(1, key=None)))
    assert (known(ORDERS, 2), known(("orders", 1), 1)) == (None, None)
    assert known(ORDERS, 1).record.key is None  # type: ignore[union-attr] # it is known


def test_where_records_are_from_with_those_that_cannot_be_written() -> None:
    bad = [element(3, value=[], timestamp=HOUR_14 + 5), element(7, partition=2, value=[]), element(4, value=[])]
    found = batch.coverage(decoded(element(1), element(2), element(5, partition=1, timestamp=None), *bad, {"no": 1}))
    assert found == Coverage(
        {ORDERS: ((1, 4),), ("orders", 1): ((5, 5),), ("orders", 2): ((7, 7),)},
        {ORDERS: HOUR_14 + 5, ("orders", 2): HOUR_14},
    )


def test_the_first_of_each_offset_stays_and_a_record_before_what_is_none() -> None:
    given = decoded(
        element(1, value="a"), element(1, value="b"), element(2, value=[]), element(2, value={}), element(1, value=[])
    )
    kept = batch.distinct(given, batch.coverage(given))
    assert [record.value for record in kept.records] == ["a"]
    assert [(one.offset, one.element[-6:]) for one in kept.rejected] == [(2, given.rejected[0].element[-6:])]
    assert len(given.rejected) == 3


def test_a_batch_without_repeats_is_the_same_object() -> None:
    given = decoded(element(1), element(2, value=[]), {"no": 1})
    assert batch.distinct(given, batch.coverage(given)) is given


def test_each_of_several_repeated_elements_that_are_none_stays() -> None:
    given = decoded(*(element(offset, value=[]) for offset in (2, 3, 2, 3)))
    assert [one.offset for one in batch.distinct(given, batch.coverage(given)).rejected] == [2, 3]


def told(found: list[Any]) -> list[dict[tuple[int, int], tuple[str, object, object]]]:
    return [
        {(at[0][1], at[1]): (one.form, one.record.key, one.record.timestamp) for at, one in others.items()}
        for others in found
    ]


def test_what_has_another_time_or_key_than_the_record_that_stays_is_no_repeat() -> None:
    given = decoded(
        *(
            element(1),
            element(1),
            element(3),
            element(3, value="other"),
            element(2),
            element(4),
            element(1, partition=1, key="other"),
        ),
        *(element(1, key="other"), element(1, key="other"), element(1, timestamp=HOUR_14 + 1), element(2, key=None)),
    )
    assert told(batch.contradictions(given)) == [
        {
            (0, 1): ("as-delivered", b"other", HOUR_14),
            (0, 2): ("as-delivered", None, HOUR_14),
        },
        {(0, 1): ("as-delivered", b"k1", HOUR_14 + 1)},
    ]


def test_of_an_event_that_is_no_record_only_another_time_is_seen() -> None:
    """Its key isn't known."""
    later: dict[str, Any] = {"timestamp": HOUR_14 + 1}
    bad: dict[str, Any] = {"value": []}
    given = decoded(
        *(element(1), element(1, **bad), element(1, **bad, **later), element(1, **bad, **later)),
        *(element(2, **bad), element(2, **bad, key="other"), element(2, **bad, **later)),
        *(element(3, **bad, timestamp=None), element(3, timestamp="yesterday")),
        *(element(4, timestamp="today", key="a"), element(4, **bad, timestamp=None)),
        element(4, timestamp="today", key="b"),
    )
    assert told(batch.contradictions(given)) == [
        {
            (0, 1): ("event", None, HOUR_14 + 1),
            (0, 2): ("event", None, HOUR_14 + 1),
            (0, 4): ("as-delivered", b"b", None),
        }
    ]


def test_an_event_that_is_no_record_keeps_the_key_that_it_names() -> None:
    given = decoded(element(1, value=[], key="named"), element(2, value=[], key=None))
    known = batch.known(given)
    events = [known(ORDERS, offset) for offset in (1, 2)]
    assert [event and (event.form, event.key) for event in events] == [("event", b"named"), ("event", None)]


def test_repeats_alone_and_no_records_contradict_nothing() -> None:
    assert batch.contradictions(decoded(element(1), element(1), element(2, value=[]), element(2, value=[]))) == []
    assert batch.contradictions(decoded()) == []


def test_the_first_of_two_bad_records_at_one_offset_is_the_first_bad_one() -> None:
    given = decoded(element(3, value=[]), element(2, value=[]), element(2, key=7))
    assert batch.first_bad(given.rejected) == {ORDERS: given.rejected[1]}


def test_topic_partitions_of_which_nothing_is_taken_stay_whole() -> None:
    given = decoded(element(1), element(1, partition=1), element(2, partition=1, value=[]), element(2, value=[]))
    kept, dropped = batch.split(given, {ORDERS: ((1, 2),)})
    assert [one.partition for one in kept.records] == [1]
    assert [one.place for one in kept.rejected] == [("orders", 1)]
    assert dropped.offsets == {ORDERS: ((1, 2),)}


def test_nothing_comes_before_a_bad_record_at_offset_0() -> None:
    """It may be decoded, and found bad only by what makes rows: then it's among the records."""
    given = decoded(element(0), element(1), element(2, partition=1))
    bad = batch.first_bad([Rejected.of(given.records[0], "timestamp-absent", "none", path="$")])
    assert [(one.partition, one.offset) for one in batch.before(given, bad).records] == [(1, 2)]


def test_only_some_records_and_nothing_that_is_rejected() -> None:
    given = decoded(element(1), element(2), element(3, value=[]))
    chosen = batch.only(given, given.records[1:])
    assert ([one.offset for one in chosen.records], chosen.rejected) == ([2], [])


@pytest.mark.parametrize(("said", "message"), [("", "no row"), ("too long", "no row: too long")])
def test_what_is_known_of_a_record_that_is_found_bad(said: str, message: str) -> None:
    given = decoded(element(1))
    bad = Rejected.of(given.records[0], "refused", "no row", path="$.data.value", said=said)
    known = batch.known(given, [bad])(ORDERS, 1)
    assert known is not None
    assert (known.message, known.path, known.form) == (message, "$.data.value", "as-delivered")


def test_what_is_taken_is_split_off() -> None:
    given = decoded(*map(element, range(6)), element(6, value=[]), element(7, value=[]), {"no": 1})
    kept, dropped = batch.split(given, {ORDERS: ((1, 2), (5, 6))})
    assert [record.offset for record in kept.records] == [0, 3, 4]
    assert [one.offset for one in kept.rejected] == [7, None]
    assert dropped == Coverage({ORDERS: ((1, 2), (5, 6))}, {ORDERS: HOUR_14})


def test_what_comes_before_the_first_bad_record_of_its_topic_partition() -> None:
    given = decoded(element(5), element(1), element(3, value=[]), element(2, value=[]), element(9, partition=1))
    bad = batch.first_bad(given.rejected)
    assert {place: one.offset for place, one in bad.items()} == {ORDERS: 2}
    assert [(record.partition, record.offset) for record in batch.before(given, bad).records] == [(0, 1), (1, 9)]


def test_what_comes_before_an_element_that_names_no_record() -> None:
    given = decoded(element(1), element(2, value=[]), {"no": 1}, element(3), element(4, value=[]))
    found = batch.before_elements(given)
    assert [record.offset for record in found.records] == [1]
    assert [one.offset for one in batch.placed(found.rejected)] == [2]
    assert batch.before_elements(decoded(element(1))).records[0].offset == 1


def test_elements_that_name_no_record_are_in_no_reason_and_no_first_bad_one() -> None:
    given = decoded({"no": 1}, element(2, value=[]))
    assert batch.reasons(given.rejected) == {"unexpected-event": {ORDERS: ((2, 2),)}}
    assert {place: one.offset for place, one in batch.first_bad(given.rejected).items()} == {ORDERS: 2}
    known = batch.known(given)
    assert (known(ORDERS, 1), known(ORDERS, 2) is not None) == (None, True)
