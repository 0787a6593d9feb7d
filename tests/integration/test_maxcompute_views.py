"""Views with unmodified PyODPS, as tools that build views use them, and who may read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from odps import ODPS, errors
from odps.models import Table
from odps.tunnel import TableTunnel

from local_emulator.maxcompute import server
from tests.access_clients import ALICE, PROJECT, client_of, issue
from tests.tunnel_clients import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.maxcompute.server import MaxComputeServer

BOB = "RAM$1000000000000001:bob"


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start() as running:
        yield running


@pytest.fixture(scope="module")
def odps(emulator: MaxComputeServer) -> ODPS:
    client = ODPS("ak", "sk", PROJECT, endpoint=emulator.endpoint)
    client.execute_sql("CREATE TABLE orders (id BIGINT, name STRING) PARTITIONED BY (pt STRING)")
    client.write_table("orders", [[1, "a"], [2, None]], partition="pt='x'", create_partition=True)
    return client


def rows(client: ODPS, query: str, **options: Any) -> list[list[Any]]:
    with client.execute_sql(query).open_reader(**options) as reader:
        return [list(record.values) for record in reader]


def test_a_view_is_created_read_and_deleted(odps: ODPS) -> None:
    odps.execute_sql(
        "create view first_orders (n comment 'number', name) comment 'those of x' as select id, name from orders "
        "where pt = 'x'"
    )
    view = odps.get_table("first_orders")
    assert view.type is Table.Type.VIRTUAL_VIEW
    assert view.is_virtual_view
    assert not view.is_materialized_view
    assert view.view_text == "select id, name from orders where pt = 'x'"
    assert (view.comment, view.owner, view.lifecycle) == ("those of x", odps.get_table("orders").owner, -1)
    assert [(column.name, str(column.type), column.comment) for column in view.table_schema.columns] == [
        ("n", "BIGINT", "number"),
        ("name", "STRING", ""),
    ]
    assert odps.exist_table("first_orders")
    for tunnel in (True, False):
        assert rows(odps, "select * from first_orders order by n limit 9", tunnel=tunnel) == [[1, "a"], [2, None]]
    assert [table.name for table in odps.list_tables(type="virtual_view", prefix="first")] == ["first_orders"]
    assert [table.name for table in odps.list_tables(type=Table.Type.MANAGED_TABLE)] == ["orders"]
    assert [table.name for table in odps.list_tables(extended=True, prefix="first")] == ["first_orders"]
    assert "VIEW" in view.get_ddl()
    odps.delete_view("first_orders")
    assert not odps.exist_table("first_orders")
    odps.delete_view("first_orders", if_exists=True)
    with pytest.raises(errors.ODPSError, match="View not found") as caught:
        odps.delete_view("first_orders")
    assert caught.value.code == "ODPS-0130201"


def test_the_sdk_alters_and_copies_a_view(odps: ODPS) -> None:
    odps.execute_sql("create view v as select id from orders")
    view = odps.get_table("v")
    view.set_comment("new")
    view.rename("renamed")
    renamed = odps.get_table("renamed")
    assert (renamed.type, renamed.comment) == (Table.Type.VIRTUAL_VIEW, "new")
    odps.execute_sql(renamed.get_ddl().replace("renamed", "copied"))
    assert odps.get_table("copied").is_virtual_view
    for name in ("renamed", "copied"):
        odps.get_table(name).reload()
        odps.delete_table(name)


def test_what_dbt_sends(odps: ODPS) -> None:
    name = f"`{PROJECT}`.`default`.`model`"
    hints = {"odps.namespace.schema": "true"}
    for query in ("select id from orders", "select name from orders"):
        odps.execute_sql(f"\n  create or replace view {name}\n    \n  as (\n    {query}\n  );", hints=hints)
    model = odps.get_table("model")
    assert model.view_text.startswith("(")
    odps.execute_sql(f"CREATE OR REPLACE VIEW {PROJECT}.default.model COMMENT 'c' AS {model.view_text};", hints=hints)
    odps.execute_sql(f"ALTER VIEW {PROJECT}.default.model CHANGE COLUMN `name` COMMENT 'who';", hints=hints)
    model.reload()
    assert (model.comment, model.table_schema.columns[0].comment) == ("c", "who")
    assert rows(odps, "select * from model where name is not null") == [["a"]]
    odps.delete_view("model")


def test_tunnel_and_the_preview_refuse_a_view_as_the_service_does(odps: ODPS) -> None:
    odps.execute_sql("create or replace view v as select id from orders")
    view, tunnel = odps.get_table("v"), TableTunnel(odps)
    for attempt in (
        lambda: tunnel.create_download_session("v"),
        lambda: tunnel.create_upload_session("v"),
        lambda: tunnel.create_stream_upload_session("v"),
        lambda: ask(odps, "get", view, {"data": "", "downloadid": "none"}),
        lambda: view.head(1),
        lambda: odps.write_table("v", [[1]]),
    ):
        with pytest.raises(errors.MethodNotAllowed, match="v is a view; use SELECT"):
            attempt()
    with pytest.raises(errors.ODPSError, match="found the view"):
        odps.execute_sql("insert into v values (1)")
    assert list(view.partitions) == []
    odps.delete_view("v")


def test_a_reader_of_a_view_needs_no_right_on_its_tables(emulator: MaxComputeServer, odps: ODPS) -> None:
    for name in (ALICE, BOB):
        odps.execute_security_query(f"add user {name}")
        odps.execute_security_query(f"grant CreateInstance, CreateTable on project {PROJECT} to {name}")
    alice, bob = (client_of(emulator, issue(emulator, name)) for name in (ALICE, BOB))
    with pytest.raises(errors.NoPermission, match="odps:Select"):
        alice.execute_sql("create view mine as select id from orders")
    odps.execute_security_query(f"grant Select on table orders to {ALICE}")
    alice.execute_sql("create view mine as select id from orders")
    assert odps.get_table("mine").owner == ALICE
    query = "select count(*) from mine"
    for action, statement in {
        "Select": query,
        "Describe": "desc mine",
        "Drop": "drop view mine",
        "Alter": "create or replace view mine as select 1",
    }.items():
        with pytest.raises(errors.NoPermission, match=f"odps:{action}.*tables/mine.*{BOB.replace('$', '.')}"):
            bob.execute_sql(statement)
    odps.execute_security_query(f"grant Select on table mine to {BOB}")
    assert rows(bob, query, tunnel=False) == [[2]]
    with pytest.raises(errors.NoPermission, match="tables/orders"):
        bob.execute_sql("select count(*) from orders")
    alice.execute_sql("create or replace view mine as select id from orders where id > 1")
    assert rows(bob, query, tunnel=False) == [[1]]
    odps.execute_security_query(f"revoke Select on table orders from {ALICE}")  # noqa: S608 - no query
    with pytest.raises(
        errors.NoPermission, match=rf"odps:Select.*tables/orders.*{ALICE.replace('$', '.')}.*in the view"
    ):
        bob.execute_sql(query)
    with pytest.raises(errors.NoPermission, match="change an owner"):
        alice.execute_sql(f"alter view mine changeowner to '{BOB}'")
    with pytest.raises(errors.ODPSError, match="no user of project"):
        odps.execute_sql("alter view mine changeowner to 'RAM$1000000000000001:nobody'")
    odps.get_table("mine").set_owner(odps.get_table("orders").owner)
    assert rows(bob, query, tunnel=False) == [[1]]
    odps.delete_view("mine")
