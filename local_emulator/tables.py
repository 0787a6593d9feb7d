"""SQL on the local MaxCompute with PyODPS, and its answers as text."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from odps import ODPS, options
from odps.errors import InstanceTypeNotSupported, ObjectAlreadyExists

from local_emulator.text_table import draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.endpoints import Endpoints


def connect(endpoints: Endpoints) -> ODPS:
    """A client of the running cloud's project."""
    options.verbose = False
    return ODPS(
        endpoints.access_id,
        endpoints.access_key,
        project=endpoints.project,
        endpoint=endpoints.maxcompute,
        tunnel_endpoint=endpoints.tunnel,
        logview_host=endpoints.maxcompute,
    )


def create(client: ODPS, at: Endpoints) -> list[str]:
    """Create the connector document's table, unless there is one, and admit the function's role to it.

    Returns the statements, which are the document's own: the role may do what these grant and nothing else.
    """
    table = (
        f"CREATE TABLE IF NOT EXISTS {at.table}"
        "(topic STRING,partition BIGINT,offset BIGINT,key STRING,value STRING) PARTITIONED by (pt STRING);"
    )
    client.execute_sql(table)
    admission = f"add user `{at.principal}`;"
    grants = [
        f"grant CreateInstance on project {at.project} to user `{at.principal}`;",
        f"grant Describe, Alter, Update on table {at.table} to user `{at.principal}`;",
    ]
    with contextlib.suppress(ObjectAlreadyExists):  # from an earlier run, where the tables are kept
        client.execute_security_query(admission)
    for grant in grants:
        client.execute_security_query(grant)
    return [table, admission, *grants]


def run(client: ODPS, statement: str) -> Iterator[str]:
    """Run one statement; the lines that MaxCompute's command line client would print. Raises odps.errors.ODPSError."""
    instance = client.execute_sql(statement)
    try:
        reader = instance.open_reader(tunnel=True)
    except InstanceTypeNotSupported:  # what isn't a query answers with text
        with instance.open_reader(tunnel=False) as text:
            yield from str(text.raw).splitlines()
        yield ""
        yield "OK"
        return
    with reader:
        names = [column.name for column in reader.schema.columns]
        yield from draw(names, [record.values for record in reader])
