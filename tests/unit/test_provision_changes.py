"""What a change of a live connector means, what of it is refused, and what only an accepted risk lets through."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from kafka_maxcompute.ledger.operations import Claim, Genesis, Identity, Pending, State
from kafka_maxcompute.ledger.state import fold
from provisioning.change_effects import meaning
from provisioning.request import Request, read
from provisioning.resources.ledger import ConnectorLedger, ObservedLedger
from provisioning.resources.settings_record import Recorded, SettingsRecord
from provisioning.step import step
from provisioning.unsafe_changes import Before, changed, faults, risks

pytestmark = pytest.mark.quick

ENVIRONMENT = {"ALLOWED_ADDRESSES": "127.0.0.1:1"}
SETTING = {
    "name": "orders",
    "instance_id": "alikafka_x",
    "source_topic": "orders-in",
    "endpoint": "http://127.0.0.1:1/api",
    "project": "p",
    "table": "t",
    "bootstrap_servers": "127.0.0.1:9092",
    "delivery": "exactly-once",
}
IDENTITY = Identity(connector="orders", table="p.t", table_created=1)
BEGUN = fold(State(), Genesis(identity=IDENTITY), 0, 0)
CLAIM = Claim(id="s", partition_value="x", blocks=(0,), rows=1, offsets={("orders-in", 0): ((0, 9),)}, generation=1)
PENDING = fold(BEGUN, CLAIM, 1, 0)


def request(settings: dict[str, Any] | None = None, **event: Any) -> Request:
    return read(json.dumps({"action": "plan", "settings": SETTING | (settings or {}), **event}).encode(), ENVIRONMENT)


def before(
    state: State | None = BEGUN, settings: dict[str, Any] | None = None, *, running: bool = False, **more: Any
) -> Before:
    recorded = Recorded(asdict(request(settings).settings))
    ledger = None if state is None else ObservedLedger(state)
    return Before(recorded, ledger, running, more.get("committed", {}))


CHANGES = [
    ("source_topic", "other-in"),
    ("project", "q"),
    ("table", "u"),
    ("partition", "DAY"),
    ("partition_names", "iso"),
    ("partition_column", "ds"),
    ("time_zone", "GMT"),
    ("mode", "KEY"),
    ("format", "BINARY"),
    ("delivery", "at-least-once"),
    ("group", "connect-others"),
]


@pytest.mark.parametrize(("setting", "value"), CHANGES)
def test_nothing_that_a_pending_claim_depends_on_is_changed(setting: str, value: str) -> None:
    asked = request({setting: value})
    (fault,) = faults(asked, before(PENDING))
    assert fault.startswith(f"{setting}: ")
    assert f"can't become {value} while 1 claims are pending in topic connect-offset-orders" in fault
    assert list(faults(asked, before())) == []


def test_all_of_them_are_told_at_once() -> None:
    found = list(faults(request(dict(CHANGES)), before(PENDING)))
    assert [fault.partition(":")[0] for fault in found] == [name for name, _ in CHANGES]


def test_what_no_claim_depends_on_may_change_at_any_time() -> None:
    asked = request({"concurrency": 3, "status_topic": "connect-status-2", "compression": "none"})
    assert changed(asked, before(PENDING)) == ()
    assert list(faults(asked, before(PENDING))) == []


def test_a_new_connector_changes_nothing() -> None:
    nothing = Before(None, None, running=False, committed={})
    assert changed(request(), nothing) == ()
    assert list(faults(request(), nothing)) == []
    assert list(risks(request(), nothing)) == []


def test_a_lost_ledger_is_told_with_what_to_do() -> None:
    (fault,) = faults(request(), before(None))
    assert fault.startswith("the ledger in topic connect-offset-orders is gone")
    assert "run audit, then reset" in fault


def test_another_offset_topic_needs_another_group() -> None:
    other = {"offset_topic": "connect-offset-2"}
    (fault,) = faults(request(other), before())
    assert "connect-offset-2 doesn't have the records that connect-orders delivered" in fault
    both = request({**other, "group": "connect-2"})
    assert list(faults(both, before())) == []
    assert [risk for risk, _ in risks(both, before())] == ["again"]
    assert list(risks(request({**other, "group": "connect-2"}, start={"0": 5}), before())) == []


@pytest.mark.parametrize(
    ("settings", "risk"),
    [
        ({}, []),
        ({"consumer_offset": "latest"}, ["latest"]),
        ({"delivery": "at-least-once"}, ["again"]),
    ],
)
def test_another_group_begins_where_it_says(settings: dict[str, Any], risk: list[str]) -> None:
    asked = request({"group": "connect-2", **settings})
    assert [name for name, _ in risks(asked, before(BEGUN, settings))] == risk


def test_a_start_is_for_a_stream_that_stands() -> None:
    asked = request(start={"0": 5})
    (fault,) = faults(asked, before(running=True))
    assert fault.startswith("start: the stream is running; pause it first")
    assert list(faults(asked, before())) == []


def test_a_start_of_a_group_that_has_read_needs_the_ledger_or_an_accepted_risk() -> None:
    asked = request({"delivery": "at-least-once"}, start={"0": 5})
    has = {"delivery": "at-least-once"}
    ((risk, told),) = risks(asked, before(None, has, committed={0: 7}))
    assert (risk, told) == (
        "again",
        "start: group connect-orders has committed 0: 7 already, and there's no ledger",
    )
    assert list(risks(asked, before(None, has, committed={0: 5}))) == []
    assert list(risks(request(start={"0": 5}), before(committed={0: 7}))) == []


# --- what it means ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "value"), [*CHANGES, ("offset_topic", "o2"), ("delivery", "exactly-once")])
def test_each_of_them_says_what_it_means(setting: str, value: str) -> None:
    assert meaning(setting, "before", value)


def test_drift_says_where_rows_land() -> None:
    found = Recorded(asdict(request().settings))
    planned = step(SettingsRecord(request({"partition": "DAY"})), found, manual=False).as_json()
    assert planned["differences"] == [
        {
            "field": "partition",
            "found": "HOUR",
            "wanted": "DAY",
            "means": "rows land in partition values by DAY from now on; rows that are written stay where they are, "
            "in values by HOUR",
        }
    ]


# --- the ledger -------------------------------------------------------------------------------------------------------


def planned(found: ObservedLedger | None, settings: dict[str, Any] | None = None, **event: Any) -> Any:
    asked = request(settings, **event)
    return step(ConnectorLedger(asked.settings, asked.change, asked.start), found, manual=False)


def test_a_ledger_is_begun_once_and_kept() -> None:
    assert planned(None).do == "create"
    assert planned(ObservedLedger(BEGUN, table_created=1)).do == "keep"
    # A table's creation time that isn't told isn't compared.
    assert planned(ObservedLedger(BEGUN)).do == "keep"


def test_a_ledger_that_cant_be_relied_on_blocks_with_what_to_do() -> None:
    lost = planned(ObservedLedger(None, "expected the ledger's log from offset 0, found its start at 7"))
    assert lost.do == "blocked"
    assert "run audit, then reset" in lost.why[0]
    loses = planned(ObservedLedger(BEGUN, wrong=("offset topic o: expected cleanup.policy compact, found delete",)))
    assert loses.do == "blocked"
    assert "found delete" in loses.why[0]
    made_anew = planned(ObservedLedger(BEGUN, table_created=2))
    assert made_anew.do == "blocked"
    assert "run the provisioning action reset" in made_anew.why[0]


def test_another_table_is_another_generation_when_it_is_named_and_nothing_is_pending() -> None:
    other = {"table": "u"}
    assert planned(ObservedLedger(BEGUN), other).do == "blocked"
    assert planned(ObservedLedger(BEGUN), other, change=["table"]).do == "change"
    waits = planned(ObservedLedger(PENDING), other, change=["table"])
    assert waits.do == "blocked"
    assert "1 claims for p.t are pending" in waits.why[0]


def test_a_start_is_kept_in_the_ledger_unless_records_would_come_again() -> None:
    place = ("orders-in", 0)
    assert planned(ObservedLedger(BEGUN), start={"0": 5}).do == "change"
    started = State(generation=2, identity=IDENTITY, settled={place: ((0, 4),)}, starts={place: 5})
    assert planned(ObservedLedger(started), start={"0": 5}).do == "keep"
    ahead = State(generation=1, identity=IDENTITY, settled={place: ((0, 4),)})
    assert planned(ObservedLedger(ahead), start={"0": 5}).do == "change"
    behind = planned(ObservedLedger(ahead), start={"0": 3})
    assert behind.do == "blocked"
    assert "use reset to have them written again" in behind.why[0]
    claimed = State(generation=1, identity=IDENTITY, pending={"s": Pending(CLAIM, 0)})
    assert planned(ObservedLedger(claimed), start={"0": 5}).do == "blocked"
