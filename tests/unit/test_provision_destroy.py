"""What a destroy refuses because it would lose or double records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools import Deadline
from provisioning import actions
from provisioning.cloud import Cloud
from provisioning.request import read

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.quick

SETTINGS = {
    "name": "orders",
    "instance_id": "alikafka_x",
    "source_topic": "orders-in",
    "endpoint": "http://service.cn-hangzhou.maxcompute.aliyun.com/api",
    "project": "p",
    "table": "t",
    "bootstrap_servers": "127.0.0.1:9092",
}


def destroyed(
    monkeypatch: pytest.MonkeyPatch, *, empty: bool, remove: Iterable[str], risks: Iterable[str] = (), **settings: str
) -> dict[str, Any]:
    """The reply of a destroy for which nothing is there; `empty` is what the brokers say of the error topic."""
    monkeypatch.setattr(actions, "is_surely_empty", lambda *_: empty)
    monkeypatch.setattr(actions, "resources", lambda *_: ())
    event = {"action": "destroy", "confirm": "orders", "remove": list(remove), "accept_risk": list(risks)}
    environment = {f"CONNECTOR_{name.upper()}": value for name, value in {**SETTINGS, **settings}.items()}
    request = read(json.dumps(event).encode(), environment)
    nobody: Any = None
    return actions.destroy(Cloud(request, "1880", nobody, nobody, Deadline.after(1)))


def test_topics_with_letters_and_a_ledger_are_kept_unless_both_risks_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reply = destroyed(monkeypatch, empty=False, remove=["topics"])
    assert (reply["state"], reply["removed"]) == ("blocked", [])
    again, letters = reply["faults"]
    assert "so without it a later apply writes them again" in again
    assert "connect-error-orders may hold dead letters that nobody has redriven" in letters
    accepted = destroyed(monkeypatch, empty=False, remove=["topics"], risks=["again", "letters"])
    assert (accepted["state"], accepted["faults"]) == ("destroyed", [])


def test_without_rows_that_stay_or_without_a_ledger_only_letters_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert destroyed(monkeypatch, empty=True, remove=["topics", "table"])["state"] == "destroyed"
    assert destroyed(monkeypatch, empty=True, remove=["topics", "table"])["removable"] == ["grants", "role"]
    once = destroyed(monkeypatch, empty=True, remove=["topics"], delivery="at-least-once")
    assert once["state"] == "destroyed"
    (fault,) = destroyed(monkeypatch, empty=False, remove=["topics", "table"])["faults"]
    assert "dead letters" in fault


def test_topics_that_stay_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert destroyed(monkeypatch, empty=False, remove=["table"])["state"] == "destroyed"
