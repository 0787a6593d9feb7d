"""The emulator's REST side as unmodified PyODPS uses it: projects, tables, partitions, DDL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
from odps import ODPS, errors
from odps.models import TableSchema
from odps.tunnel import TableTunnel
from odps.types import Column, Partition

from local_emulator.maxcompute import server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emulator.maxcompute.server import MaxComputeServer

DOCUMENT_TABLE = (
    "CREATE TABLE IF NOT EXISTS test_kafka(topic STRING,partition BIGINT,offset BIGINT,key STRING,value STRING) "
    "PARTITIONED by (pt STRING);"
)


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start() as started:
        yield started


@pytest.fixture(scope="module")
def shared(emulator: MaxComputeServer) -> ODPS:
    return ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint)


@pytest.fixture
def odps(shared: ODPS) -> ODPS:
    """A client to a project without tables."""
    for table in list(shared.list_tables()):
        table.drop()
    return shared


def test_the_project_and_who_asks(odps: ODPS) -> None:
    project = odps.get_project()
    project.reload()
    assert project.owner.startswith("ALIYUN$")
    assert project.status.value == "AVAILABLE"
    assert project.creation_time is not None
    assert project.properties
    assert int(project.extended_properties["usedQuotaPhysicalSize"]) >= 0
    assert odps.exist_project("connector_test")
    assert not odps.exist_project("nope")
    assert [found.name for found in odps.list_projects()] == ["connector_test"]
    assert odps.get_project().current_user.display_name == project.owner
    with pytest.raises(errors.NoSuchObject):
        odps.get_project("nope").reload()


def test_the_tunnel_endpoint_is_found_through_the_project(odps: ODPS, emulator: MaxComputeServer) -> None:
    assert TableTunnel(odps).tunnel_rest.endpoint == emulator.tunnel_endpoint


def test_a_table_of_the_document(odps: ODPS) -> None:
    odps.execute_sql(DOCUMENT_TABLE)
    assert odps.exist_table("test_kafka")
    table = odps.get_table("TEST_KAFKA")
    assert [(column.name, column.type.name) for column in table.table_schema.simple_columns] == [
        ("topic", "string"),
        ("partition", "bigint"),
        ("offset", "bigint"),
        ("key", "string"),
        ("value", "string"),
    ]
    assert [column.name for column in table.table_schema.partitions] == ["pt"]
    assert table.owner == odps.get_project().owner
    assert table.record_num == 0


def test_tables_from_a_schema_object_and_from_text(odps: ODPS) -> None:
    schema = TableSchema(
        columns=[
            Column("id", "bigint", 'it\'s a "key"', nullable=False),
            Column("tags", "array<string>"),
            Column("amount", "decimal(10,2)"),
        ],
        partitions=[Partition("pt", "string", "when"), Partition("n", "bigint")],
    )
    table = odps.create_table("my_orders", schema, comment="订单", lifecycle=7, if_not_exists=True)
    assert table.table_schema.columns[0].comment == 'it\'s a "key"'
    assert not table.table_schema.columns[0].nullable
    assert [str(column.type).lower() for column in table.table_schema.columns] == [
        "bigint",
        "array<string>",
        "decimal(10,2)",
        "string",
        "bigint",
    ]
    assert (table.comment, table.lifecycle) == ("订单", 7)
    assert odps.create_table("my_orders", schema, if_not_exists=True).name == "my_orders"
    with pytest.raises(errors.ODPSError, match="already exists"):
        odps.create_table("my_orders", schema)
    other = odps.create_table("other", ("a bigint, b string", "pt string"))
    assert [column.name for column in other.table_schema.partitions] == ["pt"]
    listed = list(odps.list_tables(prefix="my"))
    assert [(found.name, found.owner) for found in listed] == [("my_orders", table.owner)]
    odps.delete_table("my_orders")
    assert not odps.exist_table("my_orders")
    odps.delete_table("my_orders", if_exists=True)
    with pytest.raises(errors.NoSuchTable):
        odps.delete_table("my_orders")


def test_a_transactional_table_shows_its_key(odps: ODPS) -> None:
    table = odps.create_table("delta", "id bigint not null, v string", transactional=True, primary_key=["id"])
    assert table.is_transactional
    assert table.primary_key == ["id"]


def test_partitions(odps: ODPS) -> None:
    odps.execute_sql(DOCUMENT_TABLE)
    table = odps.get_table("test_kafka")
    spec = "pt='11-17-2020 14:05'"
    assert not table.exist_partition(spec)
    with pytest.raises(errors.NoSuchObject):
        table.get_partition(spec).reload()
    table.create_partition(spec)
    table.create_partition(spec, if_not_exists=True)
    with pytest.raises(errors.ODPSError, match="already exists"):
        table.create_partition(spec)
    assert table.exist_partition(spec)
    odps.execute_sql("INSERT INTO test_kafka PARTITION (pt='11-17-2020 14:05') (key) VALUES ('a'), ('b')")
    partition = table.get_partition(spec)
    assert partition.record_num == 2
    assert partition.physical_size > 0
    assert not partition.is_archived
    for name in ("b", "c"):
        table.create_partition(f"pt='{name}'")
    assert [str(found) for found in table.partitions] == [spec, "pt='b'", "pt='c'"]
    assert [found.name for found in table.iterate_partitions("pt='b'")] == ["pt='b'"]
    assert table.get_max_partition().name == spec
    assert table.get_max_partition(skip_empty=False).name == "pt='c'"
    table.delete_partition("pt='c'")
    table.delete_partition("pt='c'", if_exists=True)
    assert len(list(table.partitions)) == 2
    table.truncate(spec)
    assert table.get_partition(spec).record_num == 0


def test_a_dict_names_a_partition_that_text_cannot(odps: ODPS) -> None:
    odps.execute_sql("CREATE TABLE t (a BIGINT) PARTITIONED BY (pt STRING, n BIGINT)")
    table = odps.get_table("t")
    table.create_partition({"pt": "a=b", "n": "1"})
    assert [dict(found.partition_spec.items()) for found in table.partitions] == [{"pt": "a=b", "n": "1"}]


def test_lists_come_in_pages(odps: ODPS) -> None:
    odps.execute_sql("CREATE TABLE t (a BIGINT) PARTITIONED BY (pt STRING)")
    adds = " ".join(f"PARTITION (pt='{number:04}')" for number in range(1234))
    odps.execute_sql(f"ALTER TABLE t ADD {adds}")
    names = [dict(found.partition_spec.items())["pt"] for found in odps.get_table("t").partitions]
    assert names == [f"{number:04}" for number in range(1234)]


def test_the_first_rows(odps: ODPS) -> None:
    odps.execute_sql(DOCUMENT_TABLE)
    odps.execute_sql(
        "INSERT INTO test_kafka PARTITION (pt='a') VALUES ('t', 0, 1, NULL, 'x,\"中\"'), ('t', 0, 2, 'k', '')"
    )
    table = odps.get_table("test_kafka")
    for read in (table._head_by_data, table.head):
        rows = [list(row.values) for row in read(5)]
        assert [row[2:5] for row in rows] == [[1, None, 'x,"中"'], [2, "k", ""]]
    assert [list(row.values) for row in table._head_by_data(1, partition="pt='a'", columns=["offset"])] == [[1]]


def test_a_table_that_changes_shape(odps: ODPS) -> None:
    table = odps.create_table("t", "a bigint, b string")
    table.add_columns("c bigint, d string")
    table.rename_column("b", "bb")
    table.set_lifecycle(3)
    table.set_comment("changed")
    table.delete_columns("d")
    found = odps.get_table("t")
    assert [column.name for column in found.table_schema.columns] == ["a", "bb", "c"]
    assert (found.lifecycle, found.comment) == (3, "changed")
    table.rename("u")
    assert [known.name for known in odps.list_tables()] == ["u"]


def test_the_default_schema(odps: ODPS, emulator: MaxComputeServer) -> None:
    assert [found.name for found in odps.list_schemas()] == ["default"]
    assert odps.exist_schema("default")
    assert not odps.exist_schema("nope")
    with_schemas = ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint, schema="default")
    with_schemas.create_table("connector_test.default.t", "a bigint")
    assert with_schemas.exist_table("t", schema="default")
    assert not with_schemas.exist_table("t", schema="nope")
    assert [found.name for found in with_schemas.list_tables(schema="default")] == ["t"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/projects/nope", 404, "NoSuchProject"),
        ("/projects/connector_test/tables/nope", 404, "NoSuchTable"),
        ("/projects/connector_test/instances/nope", 404, "NoSuchObject"),
        ("/projects/connector_test/functions", 404, "NoSuchPath"),
        ("/projects/connector_test/resources", 404, "NoSuchPath"),
        ("/projects/connector_test/volumes", 404, "NoSuchPath"),
        ("/nothing", 404, "NoSuchPath"),
    ],
)
def test_errors_have_the_four_elements(path: str, status: int, code: str) -> None:
    with server.start(insecure=True) as emulator:
        answer = requests.get(f"{emulator.endpoint}{path}", timeout=10)
    assert answer.status_code == status
    assert answer.headers["x-odps-request-id"]
    error = errors.parse_response(answer)
    assert error.code == code
    assert error.request_id == answer.headers["x-odps-request-id"]
    assert error.host_id == "localhost"


def test_a_path_of_another_method_is_refused(emulator: MaxComputeServer) -> None:
    with server.start(insecure=True) as open_to_all:
        answer = requests.delete(f"{open_to_all.endpoint}/projects/connector_test", timeout=10)
    assert answer.status_code == 405
    assert errors.parse_response(answer).code == "MethodNotAllowed"
    assert requests.get(f"{emulator.endpoint}/projects/connector_test", timeout=10).status_code == 401


def test_credentials_are_checked(emulator: MaxComputeServer) -> None:
    with pytest.raises(errors.SignatureNotMatch):
        ODPS("ak", "wrong", "connector_test", endpoint=emulator.endpoint).get_project().reload()
    with pytest.raises(errors.InvalidParameter, match="ODPS-0410051"):
        ODPS("nobody", "sk", "connector_test", endpoint=emulator.endpoint).get_project().reload()
    # With a region PyODPS signs by version 4.
    signed = ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint, region_name="cn-hangzhou")
    assert signed.exist_project("connector_test")


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    for round_ in range(2):
        with server.start(data_dir=tmp_path) as emulator:
            odps = ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint)
            if round_ == 0:
                odps.execute_sql(DOCUMENT_TABLE)
                odps.execute_sql("INSERT INTO test_kafka PARTITION (pt='a') (key) VALUES ('x')")
            else:
                assert odps.get_table("test_kafka").get_partition("pt='a'").record_num == 1
