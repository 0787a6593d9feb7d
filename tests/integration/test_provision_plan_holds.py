"""A plan without a fault can be applied: requests and clouds vary at random.

Whatever keeps an apply from its end and could be seen before has to be in the plan, and then nothing is changed.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute.jobs import run_sql
from kafka_maxcompute.maxcompute.sql import Statement
from tests.provision_cloud import Surrounding, running

SEEDS = range(24)
FIRST = "topic string, `partition` bigint, `offset` bigint"
KEYED = FIRST.replace(",", " not null,") + " not null"
TABLES = {
    "absent": "",
    "right": f"create table test_kafka ({FIRST}, key string, value string) partitioned by (pt string)",
    "narrow": f"create table test_kafka ({FIRST}) partitioned by (pt string)",
    "by key": f"create table test_kafka ({KEYED}, key string, value string, primary key (topic, `partition`, "
    "`offset`)) partitioned by (pt string) tblproperties ('transactional'='true')",
}
# Of each name the first word is the usual one; "", {} and [] leave the name out.
FIELDS: dict[str, tuple[Any, ...]] = {
    "create_table": (True, False),
    "columns": ({}, {"price": "DECIMAL(10,2)"}, {"name": "VARCHAR(20)", "at": "TIMESTAMP"}, {"key": "MAP<INT,INT>"}),
    "batch_records": (10_000, 1),
    "batch_seconds": (10, 0, 15),
    "security_group": ("", "sg-a"),
    "start": ({}, {"0": 0}, {"0": 5}, {"17": 0}),
    "accept_risk": ([], ["bytes", "latest"]),
}
SETTINGS: dict[str, tuple[Any, ...]] = {
    "mode": ("DEFAULT", "KEY", "VALUE"),
    "format": ("TEXT", "BINARY", "CSV"),
    "partition": ("HOUR", "MINUTE"),
    "partition_column": ("pt", "day"),
    "consumer_offset": ("earliest", "latest"),
    "concurrency": (6, 1, 100),
    "resource_creation": ("auto", "manual"),
    "vpc_id": ("", "vpc-local", "vpc-other"),
    "vswitch_id": ("", "vsw-local", "vsw-other"),
    "dead_letter_topic": ("", "dead"),
    "role": ("", "a" * 64),
    "delivery": ("", "exactly-once"),
    "control": ("", "admin"),
}
INSTANCE: dict[str, tuple[Any, ...]] = {
    "series": ("v2", "v3"),
    "spec": ("professional", "normal"),
    "version": ("2.6.2", "0.10.2"),
    "status": (2, 3),
    "security_group": ("sg-local", ""),
    "auto_groups": (True, False),
    "topic_limit": (100_000, 2),
    "partition_limit": (100_000, 20),
    "group_limit": (100, 0),
}


def one_of_each(chance: random.Random, words: dict[str, tuple[Any, ...]], share: float) -> dict[str, Any]:
    """The first word of each, and of a share of them any other."""
    chosen = {name: chance.choice(found[1:]) if chance.random() < share else found[0] for name, found in words.items()}
    return {name: word for name, word in chosen.items() if word not in ("", {}, [])}


def world(seed: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]:
    """Settings and fields of a request, an instance, and a table that is there before."""
    chance = random.Random(seed)  # noqa: S311 # a test that can be repeated
    share = chance.choice([0.05, 0.1, 0.2])
    settings, fields = one_of_each(chance, SETTINGS, share), one_of_each(chance, FIELDS, share)
    if chance.random() < 0.5:
        fields["stream"] = "event_stream"
        settings["value_type"] = chance.choice(["Text", "Json", "Binary"])
        if chance.random() < 0.5:
            settings |= {"vpc_id": "vpc-local", "vswitch_id": "vsw-local"}
    table = TABLES[chance.choice(list(TABLES))] if chance.random() < 0.5 else ""
    return settings, fields, one_of_each(chance, INSTANCE, share / 2), table


@pytest.mark.parametrize("seed", SEEDS)
def test_an_apply_after_a_plan_without_a_fault_comes_to_its_end(seed: int) -> None:
    settings, fields, instance, table = world(seed)
    with running(**instance) as around:
        if "control" in settings or "delivery" in settings:
            settings["bootstrap_servers"] = around.broker.bootstrap_servers
        if table:
            with around.cloud() as cloud:
                run_sql(cloud.maxcompute, Statement(table), cloud.deadline)
        try:
            around.deploy(settings, STREAM_ENABLED="false" if "start" in fields or "stream" in fields else "true")
            around.request("plan", settings, **fields)
        except ConfigurationError:
            return  # refused before anything was looked at
        holds(around, settings, fields, "primary key" in table)


def holds(around: Surrounding, settings: dict[str, Any], fields: dict[str, Any], keyed: bool) -> None:
    changes = around.changes()
    planned = around.ask("plan", settings, **fields)
    applied = around.ask("apply", settings, **fields)
    told = f"{settings}, {fields}: {applied['faults']}"
    if planned["state"] == "blocked":
        assert applied["state"] == "blocked", told
        assert around.changes() == changes
        return
    assert not keyed, told
    assert applied["state"] in {"applied", "unchanged"}, told
    assert around.ask("plan", settings, **fields)["state"] == "unchanged"
