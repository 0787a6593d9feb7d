"""Instances and topics that a connector can't have: each refused with its reason, and nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest
from alibabacloud_alikafka20190916.models import DeleteTopicRequest

from tests.provision_cloud import INSTANCE, running
from tests.stream_clients import kafka


@pytest.mark.parametrize(
    ("instance", "told"),
    [
        (
            {"version": "0.10.2"},
            "need local storage, which can't be created by hand on version 0.10.2; upgrade the instance",
        ),
        (
            {"spec": "normal"},
            "need local storage; the Standard edition has cloud storage only; take a Professional one",
        ),
        ({"series": "v3"}, "need local storage, which a serverless instance doesn't offer"),
        ({"topic_limit": 3}, "expected room for 4 topics, found 2; raise"),
        ({"status": 3}, "expected it in service, found it stopped; start or renew it"),
    ],
)
def test_an_instance_that_cant_have_the_topics(instance: dict[str, Any], told: str) -> None:
    with running(**instance) as around:
        reply = around.ask("apply", create_table=True)
        assert (reply["state"], reply["done"]) == ("blocked", [])
        everything = [*reply["faults"], *(line for step in reply["steps"] for line in step.get("why", ()))]
        assert any(told in line for line in everything), everything
        assert around.changes() == []


def test_a_source_topic_that_was_deleted() -> None:
    with running() as around:
        around.deploy()
        around.ask("pause")
        place = {"region_id": "cn-hangzhou", "instance_id": INSTANCE}
        kafka(around.plane).delete_topic(DeleteTopicRequest(topic="orders-in", **place))
        changes = around.changes()
        reply = around.ask("apply", create_table=True)
        assert reply["state"] == "blocked"
        assert f"source_topic: no topic orders-in in {INSTANCE}; create it, or fix source_topic" in reply["faults"]
        assert around.changes() == changes
