"""A query's few rows, read without PyODPS's own waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.maxcompute.jobs import run_sql, select
from kafka_maxcompute.maxcompute.sql import Statement
from tests.provision_cloud import Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator


THINGS = Statement("create table things(name string, number bigint) partitioned by (pt string)")


@pytest.fixture
def around() -> Iterator[Surrounding]:
    with running() as started:
        yield started


def test_rows_by_their_columns_names(around: Surrounding) -> None:
    with around.cloud() as cloud:
        service, deadline = cloud.maxcompute, cloud.deadline
        run_sql(service, THINGS, deadline)
        said = 'a "quoted", long\nline 世界'
        rows = f"('{said}', 1), (NULL, NULL), ('', 3)".replace("\n", "\\n")
        run_sql(service, Statement(f"insert into things partition (pt='11-17-2020 14') values {rows}"), deadline)  # noqa: S608 - the test's own
        query = "select name, number, pt from things where pt='11-17-2020 14' order by number limit 10"
        pt = "11-17-2020 14"
        assert select(service, Statement(query), deadline) == [
            {"name": None, "number": None, "pt": pt},
            {"name": said, "number": "1", "pt": pt},
            {"name": "", "number": "3", "pt": pt},
        ]
        assert select(service, Statement("select name from things where pt='none'"), deadline) == []


def test_a_query_that_fails_is_the_services_own_error(around: Surrounding) -> None:
    with around.cloud() as cloud, pytest.raises(RefusedError, match=r"is Failed: ODPS-.*no_such_table"):
        select(cloud.maxcompute, Statement("select * from no_such_table"), cloud.deadline)
