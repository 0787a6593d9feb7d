"""A client of Tunnel as a user makes it, tables of its own for a test, and requests that PyODPS itself won't send."""

from __future__ import annotations

import io
import uuid
from typing import TYPE_CHECKING, Any

from odps import ODPS
from odps.models import Record
from odps.tunnel import TableTunnel
from odps.tunnel.io.writer import BaseRecordWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import requests
    from odps.models import Table
    from odps.tunnel.tabletunnel import TableUploadSession

    from local_emulator.maxcompute.server import MaxComputeServer

ORDERS = "topic STRING, `partition` BIGINT, `offset` BIGINT, key STRING, value STRING"


def client_of(emulator: MaxComputeServer) -> ODPS:
    """PyODPS with its own defaults."""
    return ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint)


def make_table(odps: ODPS, columns: str = ORDERS, partitioned: str = "") -> Table:
    """A new table under a name that no other test has."""
    name = f"t{uuid.uuid4().hex}"
    partitions = f" PARTITIONED BY ({partitioned})" if partitioned else ""
    odps.execute_sql(f"CREATE TABLE {name} ({columns}){partitions}")
    return odps.get_table(name)


def tunnel_of(odps: ODPS) -> TableTunnel:
    """The Tunnel endpoint, found as PyODPS finds it."""
    return TableTunnel(odps)


def rows_of(odps: ODPS, table: Table, partition: str | None = None) -> list[list[Any]]:
    """All rows, by a download session and the record wire."""
    session = tunnel_of(odps).create_download_session(table.name, partition_spec=partition)
    with session.open_record_reader(0, session.count, append_partitions=False) as reader:
        return values_of(reader)


def values_of(reader: Iterable[Record]) -> list[list[Any]]:
    """The values of each record that is left."""
    return [record.values for record in reader]


def ask(odps: ODPS, method: str, table: Table, query: Mapping[str, object], **arguments: Any) -> requests.Response:
    """A signed request to a table's path below the Tunnel endpoint; ODPSError if it is refused."""
    client = tunnel_of(odps).tunnel_rest
    url = f"{client.endpoint}/projects/{odps.project}/tables/{table.name}"
    answer: requests.Response = client.request(url, method, params=dict(query), **arguments)
    return answer


def put_block(odps: ODPS, session: TableUploadSession, block_id: int, body: bytes, **more: object) -> requests.Response:
    """A block's body as it is, in the record format unless ``more`` says ``arrow``."""
    query = {"uploadid": session.id, "blockid": block_id, **more}
    return ask(odps, "put", session._table, query, data=body)


def records(table: Table, rows: Sequence[Sequence[Any]]) -> bytes:
    """A body of records as PyODPS's own writer makes it."""
    body = io.BytesIO()
    writer = BaseRecordWriter(table.table_schema, body)
    for row in rows:
        writer.write(Record(schema=table.table_schema, values=[*row, *[None] * len(table.table_schema.partitions)]))
    writer.close()
    return body.getvalue()


def write_block(session: TableUploadSession, block_id: int, rows: Sequence[Sequence[Any]], **options: Any) -> None:
    """A block of rows by PyODPS's record writer."""
    with session.open_record_writer(block_id, **options) as writer:
        for row in rows:
            writer.write(session.new_record(list(row)))
