"""What a replay sends, and how its outcomes are compared."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from local_emulator.eventbridge import replaying
from local_emulator.eventbridge.comparison import Comparison, kind, recorded_outcome
from local_emulator.eventbridge.deliveries import RecordedDelivery
from local_emulator.eventbridge.errors import RecordingError
from local_emulator.eventbridge.function_client import Outcome
from local_emulator.eventbridge.replaying import Manner, Survey, plan

pytestmark = pytest.mark.quick

BEGIN = datetime(2020, 11, 17, 6, 0, tzinfo=timezone.utc)


def delivery(number: int, first: int, count: int, **fields: Any) -> RecordedDelivery:
    events = [{"data": {"topic": "orders", "partition": 0, "offset": offset}} for offset in range(first, first + count)]
    time = BEGIN + timedelta(seconds=10 * number)
    return RecordedDelivery(number=number, time=time, events=count, body=json.dumps(events), **fields)


RECORDED = [delivery(1, 0, 3), delivery(2, 3, 3), delivery(3, 6, 2)]


def sent(**manner: Any) -> list[list[int]]:
    """The offsets of each batch."""
    return [
        [event["data"]["offset"] for event in json.loads(sending.body)] for sending in plan(RECORDED, Manner(**manner))
    ]


def test_a_recording_is_sent_as_it_is() -> None:
    assert sent() == [[0, 1, 2], [3, 4, 5], [6, 7]]
    sendings = list(plan(RECORDED, Manner()))
    assert [sending.body.decode() for sending in sendings] == [each.body for each in RECORDED]
    assert [sending.seconds for sending in sendings] == [0.0, 10.0, 20.0]


def test_cuts_join_and_split_batches() -> None:
    assert sent(cut=4) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert sent(cut=5) == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert [sending.seconds for sending in plan(RECORDED, Manner(cut=4))] == [0.0, 10.0]


def test_a_cut_batch_has_32_mb_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    event = json.dumps({"data": {"topic": "orders", "partition": 0, "offset": 0}})
    monkeypatch.setattr(replaying, "BODY_BYTES", 2 * len(event) + 3)
    assert sent(cut=100) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert all(len(sending.body) <= 2 * len(event) + 3 for sending in plan(RECORDED, Manner(cut=100)))


def test_orders_and_copies() -> None:
    assert sent(order="reversed") == [[6, 7], [3, 4, 5], [0, 1, 2]]
    assert [sending.seconds for sending in plan(RECORDED, Manner("reversed"))] == [0.0, 10.0, 20.0]
    assert sent(duplicate=1) == [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5], [6, 7], [6, 7]]
    assert [sending.copy for sending in plan(RECORDED, Manner(duplicate=1))] == [0, 1, 0, 1, 0, 1]
    shuffled = [sent(order="shuffled", duplicate=2, cut=1, seed=seed) for seed in (1, 1, 2)]
    assert shuffled[0] == shuffled[1] != shuffled[2]
    assert sorted(shuffled[0]) == sorted([[offset] for offset in range(8)] * 3)


def test_another_order_needs_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "MOST_HELD_BYTES", len(RECORDED[0].body) * 2)
    with pytest.raises(RecordingError, match="use --order recorded"):
        sent(order="reversed")
    assert len(sent(duplicate=5)) == 18


def test_a_survey_says_what_there_is() -> None:
    survey = Survey()
    for each in RECORDED:
        survey.add(each)
    assert (survey.deliveries, survey.events, survey.has_outcomes) == (3, 8, True)
    assert survey.records() == "orders-0 offsets 0 to 7"
    assert survey.invocations(Manner(duplicate=1)) == 6
    assert survey.invocations(Manner(cut=3)) == 3
    survey.add(RecordedDelivery(number=0, time=BEGIN, body="[1]"))
    assert not survey.has_outcomes
    with pytest.raises(RecordingError, match="delivery 9: expected a JSON array as its body"):
        survey.add(RecordedDelivery(number=9, time=BEGIN, body='{"a": 1}'))


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome(200, reply="{}"), "success"),
        (Outcome(202), "success"),
        (Outcome(200, "ValueError"), "ValueError"),
        (Outcome(429, "ResourceExhausted"), "429 ResourceExhausted"),
        (Outcome(0, message="no answer"), "no answer"),
    ],
)
def test_kinds_of_outcomes(outcome: Outcome, expected: str) -> None:
    assert kind(outcome) == expected


@pytest.mark.parametrize(
    ("recorded", "now", "difference"),
    [
        ({"status": 200, "reply": '{"records": 3}'}, Outcome(200, reply='{"records": 3}'), ""),
        # What the recorded delivery wrote is settled now.
        ({"status": 200, "reply": '{"records": 3}'}, Outcome(200, reply='{"records": 1, "dropped": 2}'), ""),
        ({"status": 200, "reply": '{"records": 3}'}, Outcome(200, reply='{"records": 2}'), "3 settled records, now 2"),
        ({"status": 200, "error_type": "LedgerError"}, Outcome(200, "LedgerError"), ""),
        ({"status": 200, "error_type": "LedgerError"}, Outcome(200, reply="{}"), "recorded LedgerError, now success"),
        ({"status": 200, "reply": "{}"}, Outcome(200, "LedgerError"), "recorded success, now LedgerError"),
        ({"status": 202, "asynchronous": True}, Outcome(200, reply='{"records": 3}'), ""),
        ({"status": 200, "reply": "no JSON"}, Outcome(200, reply="null"), ""),
    ],
)
def test_outcomes_are_compared(recorded: dict[str, Any], now: Outcome, difference: str) -> None:
    comparison = Comparison()
    before = delivery(7, 0, 3, records="orders-0 offsets 0 to 2", **recorded)
    comparison.recorded.add(3, recorded_outcome(before))
    comparison.add(3, now, before)
    assert comparison.differing == bool(difference)
    assert [line.partition("): ")[2] for line in comparison.named] == [
        f"recorded {difference}" if difference[:1].isdigit() else difference
    ][: comparison.differing]


def test_totals_differ_by_failed_events_and_settled_records() -> None:
    comparison = Comparison()
    comparison.recorded.add(4, Outcome(200, reply='{"records": 3, "diverted": 1}'))
    comparison.add(3, Outcome(200, reply='{"dropped": 3}'), None)
    assert comparison.totals_differ()
    comparison.add(1, Outcome(200, reply='{"dropped": 1}'), None)
    assert not comparison.totals_differ()
    comparison.add(1, Outcome(200, "ValueError"), None)
    assert comparison.totals_differ()
