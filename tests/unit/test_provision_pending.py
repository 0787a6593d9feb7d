"""What is pending is brought to its end by an action within a budget, of which each claim has its share."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from fc_powertools import Deadline
from provisioning import pending
from tests.hanging_claims import HangingSessions, claimed
from tests.sink_delivery import Connector

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "BUDGET_SECONDS", 0.5)
    monkeypatch.setattr(pending, "LEAST_SECONDS", 0.02)


def cloud(connector: Connector, seconds: float) -> Any:
    """An invocation about the connector with so much time."""
    request = SimpleNamespace(settings=connector.settings, action="status")
    return SimpleNamespace(request=request, deadline=Deadline.after(seconds))


def test_claims_that_cannot_be_ended_do_not_take_the_time_of_one_that_can() -> None:
    for _ in range(3):
        connector = Connector()
        sessions = HangingSessions(connector.sessions)
        ids = claimed(connector, range(9))
        sessions.hanging = set(ids[:-1])
        began = time.monotonic()
        why = pending.complete(connector.services(sessions=sessions), cloud(connector, 600))
        assert time.monotonic() - began < 1
        assert why.keys() == connector.state.pending.keys() == sessions.hanging


def test_what_is_pending_never_takes_more_than_half_of_an_invocation() -> None:
    connector = Connector()
    sessions = HangingSessions(connector.sessions)
    sessions.hanging = set(claimed(connector, range(3)))
    now = cloud(connector, 0.4)
    pending.complete(connector.services(sessions=sessions), now)
    assert now.deadline.remaining() > 0.1


def test_a_claim_for_which_no_time_was_left_says_so() -> None:
    connector = Connector()
    sessions = HangingSessions(connector.sessions)
    sessions.hanging = set(claimed(connector, range(60)))
    why = pending.complete(connector.services(sessions=sessions), cloud(connector, 600))
    assert why.keys() == sessions.hanging
    assert any("used up" in text for text in why.values())
