"""What grants allow, through REST, SQL and Tunnel, with PyODPS as the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from odps import ODPS, errors
from odps.models import TableSchema
from odps.tunnel import TableTunnel

from tests.access_clients import ALICE, PROJECT, ROLE, SELECT, client_of, issue, run, user, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.maxcompute import server


def test_the_documents_grants_are_enough_for_the_sink(owner: ODPS, role: ODPS) -> None:
    table = role.get_table("test_kafka")
    assert [column.name for column in table.table_schema.columns] == ["topic", "partition", "pt"]
    assert role.exist_table("test_kafka")
    table.create_partition("pt='a'", if_not_exists=True)
    assert table.exist_partition("pt='a'")
    assert [partition.name for partition in table.partitions] == ["pt='a'"]
    write(role, "a")
    write(role, "b", create=True)
    table.delete_partition("pt='b'")
    assert run(owner, "select * from test_kafka") == [["orders", 3, "a"]]


DENIED: list[tuple[str, Callable[[ODPS], Any]]] = [
    ("odps:Select", lambda client: run(client, SELECT)),
    ("odps:Select", lambda client: run(client, "select count(*) from (select topic from test_kafka) t")),
    ("odps:Select", lambda client: run(client, "insert into test_kafka partition (pt='b') select topic, 1 from other")),
    ("odps:Drop", lambda client: run(client, "drop table test_kafka")),
    ("odps:Drop", lambda client: run(client, "drop table if exists test_kafka")),
    ("odps:CreateTable", lambda client: run(client, "create table mine (a bigint)")),
    ("odps:Describe", lambda client: run(client, "desc other")),
    ("odps:Alter", lambda client: run(client, "alter table other set comment 'x'")),
    ("odps:Update", lambda client: run(client, "truncate table other")),
    ("odps:Update", lambda client: run(client, "insert into other values ('x')")),
    ("odps:List", lambda client: run(client, "show tables")),
    ("odps:List", lambda client: list(client.list_tables())),
    ("odps:List", lambda client: list(client.list_instances())),
    ("odps:Describe", lambda client: client.get_table("other").reload()),
    ("odps:Select", lambda client: client.get_table("test_kafka").head(1)),
    ("odps:Select", lambda client: TableTunnel(client).create_download_session("test_kafka", partition_spec="pt=a")),
    ("odps:Update", lambda client: TableTunnel(client).create_upload_session("other")),
]


@pytest.mark.parametrize(("action", "attempt"), DENIED)
def test_the_documents_grants_allow_nothing_else(
    owner: ODPS, role: ODPS, action: str, attempt: Callable[[ODPS], Any]
) -> None:
    owner.execute_sql("create table other (topic string)")
    owner.execute_sql("insert into test_kafka partition (pt='a') values ('orders', 1)")
    with pytest.raises(errors.NoPermission, match=r"\[4019\], You have NO privilege '" + action):
        attempt(role)
    assert owner.exist_table("other")
    assert run(owner, "select * from test_kafka") == [["orders", 1, "a"]]


@pytest.mark.parametrize(
    ("grant", "statement"),
    [
        ("Select", SELECT),
        ("Describe", "desc test_kafka"),
        ("Describe", "show partitions test_kafka"),
        ("Describe", "show create table test_kafka"),
        ("Update", "insert into test_kafka partition (pt='a') values ('x', 1)"),
        ("Update", "truncate table test_kafka"),
        ("Alter", "alter table test_kafka add if not exists partition (pt='c')"),
        ("Alter", "alter table test_kafka add columns (more string)"),
        ("Drop", "drop table test_kafka"),
        ("All", "drop table test_kafka"),
    ],
)
def test_each_statement_needs_its_own_grant(
    emulator: server.MaxComputeServer, owner: ODPS, grant: str, statement: str
) -> None:
    alice = user(emulator, owner)
    with pytest.raises(errors.NoPermission, match="odps:CreateInstance"):
        run(alice, statement)
    owner.execute_security_query(f"grant CreateInstance on project {PROJECT} to {ALICE}")
    with pytest.raises(errors.NoPermission, match="ODPS-0130013"):
        run(alice, statement)
    owner.execute_security_query(f"grant {grant} on table test_kafka to {ALICE}")
    run(alice, statement)


def test_making_a_partition_on_the_way_needs_alter(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    alice = user(emulator, owner)
    owner.execute_security_query(f"grant Update on table test_kafka to {ALICE}")
    with pytest.raises(errors.NoPermission, match="odps:Alter"):
        write(alice, "a", create=True)
    owner.execute_sql("alter table test_kafka add partition (pt='a')")
    write(alice, "a")
    assert run(owner, "select * from test_kafka") == [["orders", 3, "a"]]


def test_a_session_ends_with_the_grant(owner: ODPS, role: ODPS) -> None:
    session = TableTunnel(role).create_upload_session("test_kafka", partition_spec="pt=a", create_partition=True)
    with session.open_record_writer(0) as writer:
        writer.write(session.new_record(["orders", 3]))
    owner.execute_security_query(f"revoke Update on table test_kafka from `{ROLE}`")
    writer = session.open_record_writer(1)
    writer.write(session.new_record(["orders", 4]))
    with pytest.raises(errors.NoPermission, match="odps:Update"):
        writer.close()
    with pytest.raises(errors.NoPermission, match="odps:Update"):
        session.commit([0])
    assert run(owner, "select * from test_kafka") == []


def test_who_makes_a_table_may_do_all_with_it_and_grant_it(
    emulator: server.MaxComputeServer, owner: ODPS, role: ODPS
) -> None:
    alice = user(emulator, owner)
    owner.execute_security_query(f"grant CreateInstance, CreateTable on project {PROJECT} to {ALICE}")
    table = alice.create_table("mine", TableSchema.from_lists(["a"], ["bigint"]))
    alice.write_table(table, [[1]])
    assert run(alice, "select * from mine") == [[1]]
    with pytest.raises(errors.NoPermission):
        run(role, "select * from mine")
    alice.execute_security_query(f"grant Select on table mine to `{ROLE}`")
    assert run(role, "select * from mine") == [[1]]
    assert alice.execute_security_query("show grants")["ObjectCreator"] == [
        "acs:odps:*:projects/connector_test/tables/mine"
    ]
    table.drop()


def test_instances_belong_to_who_submits_them(owner: ODPS, role: ODPS) -> None:
    secret = owner.execute_sql("select 'secret'")
    with pytest.raises(errors.NoPermission, match="odps:Read"):
        role.get_instance(secret.id).get_task_result()
    with pytest.raises(errors.NoPermission, match="odps:Write"):
        role.stop_instance(secret.id)
    with pytest.raises(errors.NoPermission, match="odps:Read"):
        role.get_instance(secret.id).open_reader(tunnel=True, limit=True)
    owner.execute_security_query(f"grant Read on instance {secret.id} to `{ROLE}`")
    assert "secret" in role.get_instance(secret.id).get_task_result()
    with role.get_instance(secret.id).open_reader(tunnel=True) as reader:
        assert [record[0] for record in reader] == ["secret"]
    mine = role.execute_sql("desc test_kafka")
    assert "topic" in owner.get_instance(mine.id).get_task_result()


def test_who_is_not_in_the_project_sees_nothing_of_it(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    stranger = client_of(emulator, issue(emulator, ALICE))
    assert stranger.execute_security_query("whoami")["DisplayName"] == ALICE
    assert list(stranger.list_projects()) == []
    attempts: list[Callable[[], Any]] = [
        lambda: stranger.get_project().reload(),
        lambda: stranger.execute_sql("select 1"),
        lambda: stranger.get_table("test_kafka").reload(),
        lambda: list(stranger.list_tables()),
        lambda: stranger.execute_security_query("show grants"),
        lambda: TableTunnel(stranger).create_upload_session("test_kafka", partition_spec="pt=a"),
    ]
    for attempt in attempts:
        with pytest.raises(errors.NoPermission, match=r"\[4002\], You don't exist in project connector_test"):
            attempt()
    assert [project.name for project in owner.list_projects()] == [PROJECT]
