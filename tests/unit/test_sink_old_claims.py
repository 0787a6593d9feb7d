"""Old claims of other batches: all together have one budget in a delivery, and each has its turn."""

from __future__ import annotations

import pytest

from maxcompute_sink import old_claims
from maxcompute_sink.old_claims import PAUSE_SECONDS, OldClaims
from maxcompute_sink.parallel import PARALLEL
from tests.hanging_claims import HangingSessions, claimed
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import Connector, places

pytestmark = pytest.mark.quick

BUDGET, TRY = 0.4, 0.1


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same proportions in a fiftieth of the time."""
    for name, seconds in {"BUDGET_SECONDS": BUDGET, "TRY_SECONDS": TRY, "LEAST_SECONDS": 0.01}.items():
        monkeypatch.setattr(old_claims, name, seconds)


def tries(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The claims that were tried without success, as the log has them."""
    return [vars(record)["claim"] for record in caplog.records if "stays pending" in record.message]


def test_many_claims_that_cannot_be_ended_hold_up_a_cold_instance_for_one_budget(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connector = Connector()
    sessions = HangingSessions(connector.sessions)
    sessions.hanging = set(claimed(connector, range(25)))
    connector.deliver(payload(element(5, timestamp=HOUR_14)), connector.line(sessions=sessions))
    # However slow the machine is, each try has to end within one budget from the first one on, but for microseconds.
    assert max(sessions.ends) - min(sessions.begins) < BUDGET + 0.01
    assert len(tries(caplog)) == len(set(tries(caplog))) >= PARALLEL
    assert set(tries(caplog)) <= sessions.hanging
    assert len(connector.state.pending) == 25
    assert connector.visible == places(5)
    assert connector.state.settled["orders", 0] == ((5, 5),)


def test_each_claim_is_tried_at_most_once_in_a_delivery_even_if_its_pause_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connector = Connector()
    sessions = HangingSessions(connector.sessions)
    sessions.hanging = set(claimed(connector, range(3)))

    def pause_is_over() -> None:
        connector.now += PAUSE_SECONDS + 1

    sessions.passes = pause_is_over
    connector.deliver(payload(element(5, timestamp=HOUR_14)), connector.line(sessions=sessions))
    assert sorted(tries(caplog)) == sorted(sessions.hanging)


def test_a_claim_that_can_be_ended_has_its_turn_behind_many_that_cannot() -> None:
    connector = Connector()
    sessions = HangingSessions(connector.sessions)
    ids = claimed(connector, range(60))
    line = connector.line(sessions=sessions)
    sessions.hanging = set(ids)
    connector.deliver(payload(element(5, timestamp=HOUR_14)), line)
    never_tried = set(ids) - set(sessions.looked)
    assert never_tried
    good = never_tried.pop()
    sessions.hanging.remove(good)
    connector.now += PAUSE_SECONDS + 1
    connector.deliver(payload(element(6, timestamp=HOUR_14)), line)
    assert good not in connector.state.pending


def test_after_a_budget_is_used_up_the_next_deliveries_are_not_held_up() -> None:
    connector = Connector()
    sessions = HangingSessions(connector.sessions)
    sessions.hanging = set(claimed(connector, range(60)))
    line = connector.line(sessions=sessions)
    connector.deliver(payload(element(5, timestamp=HOUR_14)), line)
    tried = len(sessions.looked)
    connector.now += PAUSE_SECONDS / 2
    connector.deliver(payload(element(6, timestamp=HOUR_14)), line)
    assert len(sessions.looked) == tried


def test_cold_instances_do_not_all_begin_with_the_same_claims() -> None:
    connector = Connector()
    claimed(connector, range(5))
    pending = list(connector.state.pending.values())
    firsts = {OldClaims().due(pending, connector.now)[0].operation.id for _ in range(200)}
    assert firsts == {one.operation.id for one in pending}


def test_a_claim_that_needs_long_gets_longer_each_time() -> None:
    connector = Connector()
    claimed(connector, [1])
    (pending,) = connector.state.pending.values()
    kept = OldClaims()
    assert [kept.begin(pending, now) for now in (0.0, 60.0, 120.0, 180.0)] == [TRY, 2 * TRY, BUDGET, BUDGET]
