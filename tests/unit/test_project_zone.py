"""The zone of times in values: the project's as MaxCompute tells it, asked for once and only if it is needed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from fc_powertools import Credentials
from kafka_maxcompute.errors import ConfigurationError, UnavailableError
from kafka_maxcompute.maxcompute import project
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.settings.destinations import TrustedAddress
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink.target_table import TargetTable
from tests.deadlines import soon
from tests.scripted_service import Answer, ScriptedService, refusal
from tests.unit.test_sink_instance import table

if TYPE_CHECKING:
    from datetime import tzinfo

pytestmark = pytest.mark.quick

SUMMER = datetime(1988, 7, 1, 3, tzinfo=timezone.utc)


def told(**properties: str) -> Answer:
    pairs = "".join(f"<Property><Name>{k}</Name><Value>{v}</Value></Property>" for k, v in properties.items())
    return Answer(body=f"<Project><Name>p</Name><Properties>{pairs}</Properties></Project>".encode())


def service(scripted: ScriptedService) -> Service:
    return Service(TrustedAddress(f"{scripted.endpoint}/api"), "p", Credentials("a", "b"))


def zone(*answers: Answer) -> tzinfo:
    with ScriptedService(*answers) as scripted:
        found = project.zone(service(scripted), soon())
    assert {(one.path, one.query.get("properties")) for one in scripted.requests} == {("/api/projects/p", "all")}
    return found


@pytest.mark.parametrize(
    ("answer", "hour"),
    [
        (told(**{"odps.sql.timezone": "Asia/Shanghai", "other": "x"}), 12),
        (told(**{"odps.sql.timezone": "Europe/Berlin"}), 5),
        (told(**{"odps.sql.timezone": "Etc/GMT"}), 3),
        (told(), 12),
        (told(**{"odps.sql.timezone": ""}), 12),
    ],
)
def test_the_projects_zone_is_its_property_and_else_the_services_default(answer: Answer, hour: int) -> None:
    assert SUMMER.astimezone(zone(answer)).hour == hour


def test_a_service_that_cannot_answer_now_is_asked_again() -> None:
    again = (refusal(503, "ServiceUnavailable"), Answer(body=b"no XML"), told(**{"odps.sql.timezone": "Etc/GMT"}))
    assert SUMMER.astimezone(zone(*again)).hour == 3


@pytest.mark.parametrize("answer", [refusal(403, "NoPermission"), told(**{"odps.sql.timezone": "Mars/Olympus"})])
def test_a_zone_that_cannot_be_known_is_never_guessed(answer: Answer) -> None:
    with pytest.raises(ConfigurationError, match="set value_time_zone to the zone"):
        zone(answer)


def tables(*script: Answer) -> ScriptedService:
    """A service whose tables have no primary key."""
    scripted = ScriptedService(*script)
    scripted.aside["extended"] = Answer(body=b"<Table><Schema>{}</Schema></Table>")
    return scripted


def target(**settings: str) -> TargetTable:
    needed = {"name": "c", "source_topic": "orders", "delivery": "at-least-once", "endpoint": "http://127.0.0.1/api"}
    csv = {"project": "p", "table": "t", "mode": "VALUE", "format": "CSV"}
    return TargetTable(Settings.from_mapping(needed | csv | settings))


POSITION = (("topic", "string"), ("partition", "bigint"), ("offset", "bigint"))


@pytest.mark.parametrize(
    ("column", "settings", "asked"),
    [
        ("datetime", {}, 1),
        ("timestamp", {}, 1),
        ("timestamp_ntz", {}, 0),
        ("date", {}, 0),
        ("string", {}, 0),
        ("datetime", {"value_time_zone": "Asia/Tokyo"}, 0),
    ],
)
def test_the_zone_is_asked_for_once_and_only_if_it_is_needed(column: str, settings: dict[str, str], asked: int) -> None:
    shape, wider = (table(*POSITION, ("at", column), *more) for more in ((), (("more", column),)))
    script = (shape, *[told(**{"odps.sql.timezone": "Asia/Tokyo"})] * asked, wider)
    with tables(*script) as scripted:
        found = target(**settings)
        found.known(service(scripted), soon())
        assert found.renewed(service(scripted), soon(), since=float("inf"))
    assert [one.path for one in scripted.requests].count("/api/projects/p") == asked
    assert len(scripted.requests) == 2 + asked


def test_without_an_answer_no_batch_is_prepared() -> None:
    with tables(table(*POSITION, ("at", "datetime")), refusal(503, "ServiceUnavailable")) as scripted:
        found = target()
        with pytest.raises(UnavailableError, match="read the time zone of project p"):
            found.known(service(scripted), soon().within(1))
