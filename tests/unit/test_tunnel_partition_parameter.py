"""Partition values in a query, as the SDKs write them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from local_emulator.maxcompute.entities import Column, Table
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.tunnel.partition_parameter import requested_spec
from local_emulator.maxcompute.types import STRING

pytestmark = pytest.mark.quick
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def table(*partition_columns: str) -> Table:
    columns = tuple(Column(name, STRING) for name in partition_columns)
    return Table("id", "p", "default", "t", (Column("a", STRING),), columns, "me", NOW, NOW, NOW)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("pt=11-17-2020 15:00", ("11-17-2020 15:00",)),
        ("pt='11-17-2020 15:00'", ("11-17-2020 15:00",)),
        ('PT = "v"', ("v",)),
        ("pt=a,b=c", ("a,b=c",)),
    ],
)
def test_one_column(text: str, values: tuple[str, ...]) -> None:
    assert requested_spec(table("pt"), {"partition": text}) == values


@pytest.mark.parametrize("text", ["ds=1,region=cn", "ds='1',region='cn'", "ds=1/region=cn", "region=cn, ds=1"])
def test_several_columns_in_any_order(text: str) -> None:
    assert requested_spec(table("ds", "region"), {"partition": text}) == ("1", "cn")


@pytest.mark.parametrize("text", ["ds=1", "x=1", "ds=1,region=", "ds=1,region=a,ds=2", "1,cn", "x,ds=1,region=cn"])
def test_anything_else_is_invalid(text: str) -> None:
    with pytest.raises(ServiceError, match=r"InvalidPartitionSpec.*ds=value,region=value"):
        requested_spec(table("ds", "region"), {"partition": text})


def test_a_partition_has_to_be_named_where_there_are_any_and_only_there() -> None:
    with pytest.raises(ServiceError, match=r"MissingPartitionSpec.*pt"):
        requested_spec(table("pt"), {})
    with pytest.raises(ServiceError, match="InvalidPartitionSpec"):
        requested_spec(table(), {"partition": "pt=1"})
    assert requested_spec(table(), {}) == ()
