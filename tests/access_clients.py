"""Clients of the local MaxCompute with several identities, and what the connector document grants to its role."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from odps import ODPS
from odps.accounts import StsAccount
from odps.tunnel import TableTunnel

from local_emulator.foundation.clock import CLOCK
from local_emulator.maxcompute.keys import ACCOUNTS

if TYPE_CHECKING:
    from local_emulator.maxcompute import server
    from local_emulator.maxcompute.authentication import TemporaryKey

PROJECT = "connector_test"
ROLE = "RAM$1000000000000001:role/aliyunkafkamaxcomputeuser1"
ALICE = "RAM$1000000000000001:alice"
CREATE = "create table test_kafka (topic string, `partition` bigint) partitioned by (pt string)"
# What the connector document grants, and nothing else.
DOCUMENTED = (
    f"add user `{ROLE}`;",
    f"grant CreateInstance on project {PROJECT} to user `{ROLE}`;",
    f"grant Describe, Alter, Update on table test_kafka to user `{ROLE}`;",
)
SELECT = "select * from test_kafka where pt='a'"


def issue(emulator: server.MaxComputeServer, name: str, life: timedelta = timedelta(hours=1)) -> TemporaryKey:
    return emulator.app[ACCOUNTS].issue(name, emulator.app[CLOCK].now(), life)


def client_of(emulator: server.MaxComputeServer, key: TemporaryKey, **more: Any) -> ODPS:
    account = StsAccount(key.access_id, key.access_key, key.token)
    return ODPS(account=account, project=PROJECT, endpoint=emulator.endpoint, **more)


def user(emulator: server.MaxComputeServer, owner: ODPS, name: str = ALICE) -> ODPS:
    """A user of the project, without any grant."""
    owner.execute_security_query(f"add user `{name}`")
    return client_of(emulator, issue(emulator, name))


def run(client: ODPS, statement: str) -> list[list[Any]]:
    instance = client.execute_sql(statement)
    if not statement.startswith("select"):
        return []
    with instance.open_reader(tunnel=False) as reader:
        return [list(record.values) for record in reader]


def write(client: ODPS, pt: str = "a", *, create: bool = False) -> None:
    tunnel = TableTunnel(client)
    session = tunnel.create_upload_session("test_kafka", partition_spec=f"pt={pt}", create_partition=create)
    with session.open_record_writer(0) as writer:
        writer.write(session.new_record(["orders", 3]))
    session.commit([0])
