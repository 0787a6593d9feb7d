"""The lag of group and ledger, also of logs that end before what is done with."""

from __future__ import annotations

from typing import Any

import pytest

from local_emulator.cli.topic import Lag
from provisioning import lag

pytestmark = pytest.mark.quick


def progress(*offsets: tuple[int | None, int | None], total: int = 7) -> dict[str, Any]:
    """As ApsaraMQ for Kafka describes a group: end and committed offset of each topic-partition."""
    listed = [
        {"Partition": number, "BrokerOffset": end, "ConsumerOffset": committed}
        for number, (end, committed) in enumerate(offsets)
    ]
    return {"TotalDiff": total, "TopicList": {"TopicList": [{"Topic": "orders", "OffsetList": {"OffsetList": listed}}]}}


def lags(found: dict[str, Any]) -> list[int | None]:
    return [one["lag"] for one in found["topic_partitions"]]


def test_the_group_is_behind_by_what_its_logs_have_more() -> None:
    found = lag.of_group(progress((10, 3), (5, 5), (9, None)))
    assert (found["records"], lags(found)) == (7, [7, 0, None])
    assert list(lag.beyond(found["topic_partitions"], ())) == []
    assert lag.of_group({}) == {"records": None, "topic_partitions": []}


def test_a_group_beyond_its_log_has_no_lag_and_neither_has_the_topic() -> None:
    found = lag.of_group(progress((10, 3), (0, 5)))
    assert (found["records"], lags(found)) == (None, [7, None])
    (fault,) = lag.beyond(found["topic_partitions"], ())
    assert fault.startswith(
        "orders-1: its log ends at 0, but the group has committed offset 5, so the brokers have lost"
    )
    assert "pause the stream, run audit, and do what its finding beyond-the-log says" in fault


def test_a_group_that_has_passed_offsets_without_a_claim_is_reported() -> None:
    group = lag.of_group(progress((10, 10), (10, 4), (10, 9), (10, None), (10, 10)))["topic_partitions"]
    settled = {0: ((0, 7),), 1: ((0, 3),), 2: ((0, 9),), 3: (), 4: ((0, 10),)}
    ledger = [
        {"topic": "orders", "partition": number, **lag.of_ledger(offsets, 0, 10)} for number, offsets in settled.items()
    ]
    (warning,) = lag.passed(group, ledger)
    assert warning.startswith("orders-0: the group has committed past 2 offsets that the ledger doesn't have")
    assert "run audit" in warning


@pytest.mark.parametrize(
    ("settled", "start", "end", "expected"),
    [
        ((), 0, 0, (None, 0)),
        ((), 3, 9, (None, 6)),
        (((0, 4), (7, 8)), 0, 12, (8, 5)),
        (((0, 4), (7, 8)), 6, 9, (8, 1)),
        (((0, 8),), 9, 9, (8, 0)),
        (((0, 9),), 0, 9, (9, None)),
        (((0, 9),), 0, 0, (9, None)),
    ],
)
def test_the_ledgers_lag_is_what_isnt_settled(
    settled: Any, start: int, end: int, expected: tuple[int | None, int | None]
) -> None:
    found = lag.of_ledger(settled, start, end)
    assert (found["settled_up_to"], found["end"], found["lag"]) == (expected[0], end, expected[1])
    if found["lag"]:
        assert lag.of_ledger(settled, start, end, pending=1)["lag"] == found["lag"] - 1


def test_what_group_and_ledger_say_of_one_log_is_one_sentence() -> None:
    group = lag.of_group(progress((3, 10)))["topic_partitions"]
    ledger = [{"topic": "orders", "partition": 0, **lag.of_ledger(((0, 9),), 0, 3)}]
    (fault,) = lag.beyond(group, ledger)
    assert "but the group has committed offset 10 and the ledger has offset 9 as settled, so" in fault


def test_the_local_status_says_it_too() -> None:
    assert (Lag(0, 9, 3).behind, Lag(0, 9, 9).behind, Lag(0, 9, 9).describe_loss("orders")) == (6, 0, "")
    assert Lag(2, 3, 7).behind is None
    assert (
        Lag(2, 3, 7)
        .describe_loss("orders")
        .startswith("orders-2: its log ends at 3, but offsets before 7 are delivered")
    )
