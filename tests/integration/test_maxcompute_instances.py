"""Instances as unmodified PyODPS sees them: run, wait, read, fail, stop."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import requests
from odps import ODPS, errors
from odps.models import Instance

from local_emulator.maxcompute import server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.maxcompute.server import MaxComputeServer

# Runs until somebody stops it.
ENDLESS = "SELECT count(*) FROM big a JOIN big b ON a.n = b.n JOIN big c ON a.n = c.n WHERE a.n * b.n * c.n <> c.n"


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start() as started:
        yield started


@pytest.fixture(scope="module")
def odps(emulator: MaxComputeServer) -> ODPS:
    made = ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint)
    made.execute_sql("CREATE TABLE t (a BIGINT, b STRING) PARTITIONED BY (pt STRING)")
    made.execute_sql("INSERT INTO t PARTITION (pt='x') VALUES (1, 'one'), (2, NULL)")
    made.execute_sql("CREATE TABLE big (n BIGINT)")
    made.execute_sql("INSERT INTO big SELECT 1")
    for _ in range(13):
        made.execute_sql("INSERT INTO big SELECT n FROM big")
    return made


def test_a_query_and_its_life(odps: ODPS) -> None:
    instance = odps.execute_sql("SELECT * FROM t WHERE pt = 'x'")
    assert instance.status == Instance.Status.TERMINATED
    assert instance.is_successful()
    assert instance.get_sql_query() == "SELECT * FROM t WHERE pt = 'x';"
    task = instance.get_task_statuses()["AnonymousSQLTask"]
    assert task.type == "SQL"
    assert task.status == Instance.Task.TaskStatus.SUCCESS
    assert task.start_time <= task.end_time
    assert instance.owner.startswith("ALIYUN$")
    assert instance.start_time <= instance.end_time
    progress = instance.get_task_progress()
    assert progress.stages[0].finished_percentage == 100
    assert instance.get_task_summary()["Outputs"] == {}
    assert instance.get_task_detail()["Instance"]["Name"] == instance.id
    assert instance.priority == 9


SCRIPT = {"odps.sql.submit.mode": "script"}


def test_a_summary_counts_what_was_written(odps: ODPS) -> None:
    for statement, table, rows in (
        ("CREATE TABLE copied AS SELECT a FROM t WHERE pt = 'x'", "copied", 2),
        ("INSERT INTO copied SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9", "copied", 3),
        ("INSERT OVERWRITE TABLE t PARTITION (pt) SELECT 1, 'one', 'y' UNION ALL SELECT 2, 'two', 'z'", "t", 2),
        ("INSERT INTO copied VALUES (1); INSERT INTO copied VALUES (2), (3); SELECT 1", "copied", 3),
    ):
        summary = odps.execute_sql(statement, hints=SCRIPT).get_task_summary()
        assert {name: counts[0] for name, counts in summary["Outputs"].items()} == {f"{odps.project}.{table}": rows}
        assert f"\t{odps.project}.{table}: {rows}\n" in summary.summary_text


@pytest.mark.parametrize("tunnel", [True, False])
def test_results_by_tunnel_and_as_csv(odps: ODPS, tunnel: bool) -> None:
    instance = odps.execute_sql("SELECT a, b, a + 0.5 c, 1.5BD d, TRUE e FROM t WHERE pt = 'x' ORDER BY a")
    with instance.open_reader(tunnel=tunnel) as reader:
        rows = [list(record.values) for record in reader]
    assert rows == [[1, "one", 1.5, Decimal("1.5"), True], [2, None, 2.5, Decimal("1.5"), True]]


def test_times_come_back_the_same_both_ways(odps: ODPS) -> None:
    instance = odps.execute_sql("SELECT from_unixtime(1577808000) AS at", hints={"odps.sql.timezone": "UTC"})
    with instance.open_reader(tunnel=True) as reader:
        assert reader[0]["at"].timestamp() == 1577808000
    assert instance.get_task_result() == '"at"\n2019-12-31 16:00:00\n'


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("SHOW PARTITIONS t", "pt=x\n"),
        ("SHOW TABLES LIKE 't'", ":t\n"),
        ("DESC t", "| pt              | string     |"),
        ("SHOW CREATE TABLE t", "CREATE TABLE IF NOT EXISTS connector_test.`t`"),
        ("EXPLAIN SELECT * FROM t", "root Tasks"),
    ],
)
def test_what_has_no_rows_is_read_as_text(odps: ODPS, statement: str, text: str) -> None:
    with odps.execute_sql(statement).open_reader() as reader:  # tries the tunnel first
        assert text in reader.raw


@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [
        ("SELEC 1", errors.ParseError, r"ODPS-0130161:\[1,7\] Parse exception"),
        ("SELECT * FROM nope", errors.NoSuchTable, r"ODPS-0130131:\[1,15\] Table not found"),
        ("SELECT nope FROM t", errors.ODPSError, r"ODPS-0130071:\[1,8\] Semantic analysis exception"),
        ("ALTER TABLE t DROP PARTITION (pt='nope')", errors.ODPSError, "ODPS-0110061"),
        ("SELECT 9223372036854775807 + 1", errors.ODPSError, "ODPS-0121145"),
    ],
)
def test_failures(odps: ODPS, statement: str, kind: type[Exception], message: str) -> None:
    instance = odps.run_sql(statement)
    with pytest.raises(kind, match=message):
        instance.wait_for_success()
    assert instance.status == Instance.Status.TERMINATED
    assert not instance.is_successful()
    task = next(iter(instance.get_task_statuses().values()))
    assert task.status == Instance.Task.TaskStatus.FAILED


def test_a_long_query_runs_until_it_is_stopped(odps: ODPS) -> None:
    instance = odps.run_sql(ENDLESS)
    assert instance.status == Instance.Status.RUNNING
    assert next(iter(instance.get_task_statuses().values())).status == Instance.Task.TaskStatus.RUNNING
    assert instance.id in [found.id for found in odps.list_instances(status="Running")]
    assert instance.get_queueing_info().status == Instance.InstanceQueueingInfo.Status.RUNNING
    assert [found.instance_id for found in odps.list_instance_queueing_infos()] == [instance.id]
    instance.stop()
    instance.wait_for_completion(interval=0.1)
    assert instance.status == Instance.Status.TERMINATED
    assert next(iter(instance.get_task_statuses().values())).status == Instance.Task.TaskStatus.CANCELLED
    with pytest.raises(errors.InvalidStateSetting):
        instance.stop()


def test_waiting_is_done_at_the_server(odps: ODPS) -> None:
    instance = odps.run_sql(ENDLESS)
    stopper = threading.Timer(0.3, lambda: odps.stop_instance(instance.id))
    stopper.start()
    instance.reload(blocking=True)  # answers when it has ended
    assert instance.status == Instance.Status.TERMINATED
    stopper.join()


def test_results_are_cut_at_ten_thousand_rows_without_the_tunnel(odps: ODPS) -> None:
    odps.execute_sql("CREATE TABLE many AS SELECT n FROM big UNION ALL SELECT n FROM big")
    instance = odps.execute_sql("SELECT * FROM many")
    with pytest.raises(errors.NotSupportedError, match="truncated"):
        instance.open_reader(tunnel=False)
    with instance.open_reader(tunnel=False, limit=True) as reader:
        assert sum(1 for _ in reader) == 10_000
    with instance.open_reader(tunnel=True) as reader:
        assert reader.count == 16_384


def test_instances_are_listed(odps: ODPS) -> None:
    first, second = (odps.execute_sql("SELECT 1") for _ in range(2))
    names = [found.id for found in odps.list_instances()]
    assert names.index(first.id) < names.index(second.id)
    assert odps.exist_instance(first.id)
    assert not odps.exist_instance("nope")
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    assert list(odps.list_instances(start_time=later)) == []
    assert second.id in [found.id for found in odps.list_instances(only_owner=True, status="Terminated")]


def test_several_statements_and_hints(odps: ODPS) -> None:
    with odps.execute_sql(
        "SET odps.sql.timezone=UTC; SELECT cast(from_unixtime(0) AS string) v"
    ).open_reader() as reader:
        assert reader[0]["v"] == "1970-01-01 00:00:00"
    hints = {"odps.sql.timezone": "America/New_York"}
    with odps.execute_sql("SELECT cast(from_unixtime(0) AS string) v", hints=hints).open_reader() as reader:
        assert reader[0]["v"] == "1969-12-31 19:00:00"


JOB = "<Instance><Job><Tasks>{}</Tasks></Job></Instance>"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("no xml", "InvalidArgument"),
        ("<Job/>", "InvalidArgument"),
        ("<Instance/>", "InvalidParameter"),
        (JOB.format(""), "InvalidParameter"),
        (JOB.format("<XFlow><Name>x</Name></XFlow>"), "InvalidParameter"),
        (JOB.format("<SQL><Name>x</Name></SQL>"), "InvalidParameter"),
        (JOB.format("<SQL><Name>x</Name><Query>SELECT 1</Query></SQL>" * 2), "InvalidParameter"),
        (
            JOB.format(
                "<SQL><Name>x</Name><Query>SELECT 1</Query><Config><Property><Name>settings</Name>"
                "<Value>[]</Value></Property></Config></SQL>"
            ),
            "InvalidParameter",
        ),
    ],
)
def test_jobs_that_are_none(body: str, code: str) -> None:
    with server.start(insecure=True) as emulator:
        url = f"{emulator.endpoint}/projects/connector_test/instances"
        answer = requests.post(url, data=body.encode(), timeout=10)
    assert answer.status_code == 400
    assert errors.parse_response(answer).code == code
