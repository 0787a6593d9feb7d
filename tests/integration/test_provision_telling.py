"""What the provisioner makes of a connector is told in its status topic; that it can't be told stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fc_powertools import Deadline
from kafka_maxcompute.brokers.status_topic import latest
from provisioning import status_report
from tests.provision_cloud import Surrounding, running
from tests.stream_clients import eventually

if TYPE_CHECKING:
    import pytest

PARTITIONS = 6


def told(around: Surrounding) -> list[str]:
    """The connector's state and those before it."""
    wanted = {(f"connect-status-{around.settings['name']}", number): ((0, 2**62),) for number in range(PARTITIONS)}
    with around.cloud() as cloud:
        records = [record for _, _, record in cloud.clients.logs().stream(wanted, Deadline.after(30))]
    return [latest([record], "orders")[b"orders"].state for record in records if record.key == b"orders"]


def test_pause_resume_and_destroy_are_told_and_what_cannot_be_told_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running() as around:
        around.deploy()
        assert eventually(lambda: around.ask("status")["state"] == "running")
        assert around.ask("pause")["state"] == "paused"  # the topic isn't made yet
        assert around.ask("apply", create_table=True)["state"] == "applied"
        assert told(around) == []

        around.ask("pause")
        around.ask("resume")
        around.ask("destroy", confirm="orders")
        assert told(around) == ["paused", "running", "removed"]

        monkeypatch.setattr(status_report, "SECONDS", 0.0)
        assert around.ask("apply", create_table=True)["state"] == "applied"
        assert around.ask("pause")["state"] == "paused"
        assert told(around) == ["paused", "running", "removed"]
