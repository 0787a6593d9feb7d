"""Signatures, tokens and clocks, with PyODPS as the client."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from odps import ODPS, errors, options
from odps.accounts import CloudAccount, StsAccount
from odps.rest import RestClient
from odps.types import PartitionSpec

from local_emulator.foundation.clock import CLOCK
from local_emulator.maxcompute import server
from tests.access_clients import CREATE, PROJECT, ROLE, SELECT, client_of, issue, run, write

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def v4() -> Iterator[None]:
    """PyODPS remembers for ever which endpoints refused version 4."""
    RestClient._endpoints_without_v4_sign.clear()
    enabled, options.enable_v4_sign = options.enable_v4_sign, True
    yield
    options.enable_v4_sign = enabled


@pytest.mark.usefixtures("v4", "role")
@pytest.mark.parametrize("enabled", [True, False])
def test_both_signature_versions(emulator: server.MaxComputeServer, *, enabled: bool) -> None:
    options.enable_v4_sign = enabled
    client = ODPS("ak", "sk", PROJECT, endpoint=emulator.endpoint, region_name="cn-hangzhou")
    assert client.execute_security_query("whoami")["ID"] == "1000000000000001"
    assert run(client, "select '百分 % + & =' as a") == [["百分 % + & ="]]
    sts = client_of(emulator, issue(emulator, ROLE), region_name="cn-hangzhou")
    assert sts.exist_table("test_kafka")
    assert not RestClient._endpoints_without_v4_sign


@pytest.mark.usefixtures("v4")
def test_partition_values_of_every_kind_are_signed(owner: ODPS) -> None:
    table = owner.get_table("test_kafka")
    for value in ("a b", "50%", "1+1", "x&y", "中文", "11-17-2020 14", "%41"):
        table.create_partition({"pt": value})
        assert table.exist_partition(PartitionSpec({"pt": value})), value


@pytest.mark.parametrize(
    ("access_id", "access_key", "error", "code"),
    [
        ("ak", "wrong", errors.SignatureNotMatch, "ODPS-0410042"),
        ("nobody", "sk", errors.InvalidParameter, "ODPS-0410051"),
    ],
)
def test_wrong_keys(
    emulator: server.MaxComputeServer, access_id: str, access_key: str, error: type[Exception], code: str
) -> None:
    for client in (
        ODPS(access_id, access_key, PROJECT, endpoint=emulator.endpoint),
        ODPS(access_id, access_key, PROJECT, endpoint=emulator.endpoint, region_name="cn-hangzhou"),
    ):
        with pytest.raises(error, match=code):
            client.execute_security_query("whoami")


def test_a_clock_that_is_off_is_named(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    emulator.app[CLOCK].skew = timedelta(minutes=16)
    with pytest.raises(errors.RequestTimeTooSkewed, match="ODPS-0410031") as caught:
        owner.execute_security_query("whoami")
    assert caught.value.max_interval_date == 900_000
    assert caught.value.now_date - caught.value.expire_date > timedelta(minutes=15)


class RenewableAccount(StsAccount):  # type: ignore[misc] # PyODPS has no types
    """Asks for new keys when it is told to reload, as an account in a function does."""

    def __init__(self, emulator: server.MaxComputeServer) -> None:
        self._emulator = emulator
        self.reloads = 0
        super().__init__(None, None, None)

    def _reload_account(self) -> None:
        key = issue(self._emulator, ROLE)
        self.access_id, self.secret_access_key, self.sts_token = key.access_id, key.access_key, key.token
        self.reloads += 1


def test_an_expired_token_is_refused_and_renewed(emulator: server.MaxComputeServer, role: ODPS) -> None:
    account = RenewableAccount(emulator)
    renewing = ODPS(account=account, project=PROJECT, endpoint=emulator.endpoint)
    renewing.get_table("test_kafka").reload()
    emulator.app[CLOCK].shift = timedelta(hours=2)
    with pytest.raises(errors.AuthenticationRequestExpired):
        role.get_table("test_kafka").reload()
    assert account.reloads == 1
    renewing.get_table("test_kafka").reload()
    assert account.reloads == 2


def test_a_token_that_is_missing_or_wrong(emulator: server.MaxComputeServer, role: ODPS) -> None:
    key = issue(emulator, ROLE)
    for account in (CloudAccount(key.access_id, key.access_key), StsAccount(key.access_id, key.access_key, "wrong")):
        client = ODPS(account=account, project=PROJECT, endpoint=emulator.endpoint)
        with pytest.raises(errors.Unauthorized, match="security token"):
            client.get_table("test_kafka").reload()
    assert role.exist_table("test_kafka")


def test_insecure_takes_any_key() -> None:
    with server.start(PROJECT, insecure=True) as emulator:
        client = ODPS("any", "thing", PROJECT, endpoint=emulator.endpoint)
        client.execute_sql(CREATE)
        write(client, "a", create=True)
        assert run(client, SELECT) == [["orders", 3, "a"]]


def command(*arguments: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "local_emulator", "maxcompute", "--port", "0", *arguments]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_knows_keys_of_other_identities() -> None:
    with command("--account-name", "me@example.com", "--user", "RAM$me@example.com:alice", "ak2", "sk2") as process:
        try:
            assert process.stdout is not None
            ready = re.search(r"REST (\S+),", process.stdout.readline())
            assert ready is not None
            alice = ODPS("ak2", "sk2", PROJECT, endpoint=ready[1])
            assert alice.execute_security_query("whoami")["DisplayName"] == "RAM$me@example.com:alice"
            with pytest.raises(errors.NoPermission):
                alice.execute_sql("select 1")
            ODPS("ak", "sk", PROJECT, endpoint=ready[1]).execute_security_query("add user RAM$1000000000000001:alice")
            assert alice.execute_security_query("show grants")["Roles"] == []
        finally:
            process.terminate()
    assert process.returncode == 0


def test_the_command_refuses_what_is_no_identity() -> None:
    with command("--user", "alice", "ak2", "sk2") as process:
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaint == ("maxcompute: lack of account provider, principalName alice; expected ALIYUN$... or RAM$...\n")
