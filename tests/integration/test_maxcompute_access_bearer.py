"""Bearer tokens, with PyODPS as the client that asks for them and comes with them."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from odps import ODPS, errors
from odps.accounts import BearerTokenAccount

from local_emulator.foundation.clock import CLOCK
from local_emulator.foundation.faults import FAULTS, Fault
from local_emulator.maxcompute import server
from tests.access_clients import ALICE, PROJECT, run, user, write

if TYPE_CHECKING:
    from odps.models import Instance


def statement(actions: list[str], path: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Action": actions, "Effect": effect, "Resource": f"acs:odps:*:projects/{PROJECT}{path}"}


def signed(client: ODPS, *statements: dict[str, Any], hours: float = 1) -> str:
    token = client.get_project().generate_auth_token({"Version": "1", "Statement": list(statements)}, "bearer", hours)
    assert isinstance(token, str)
    return token


def bearer(emulator: server.MaxComputeServer, token: str) -> ODPS:
    return ODPS(account=BearerTokenAccount(token), project=PROJECT, endpoint=emulator.endpoint)


def renewing(emulator: server.MaxComputeServer, tokens: list[str]) -> ODPS:
    """A client that takes the next of some tokens when it is told that the last one has ended."""
    account = BearerTokenAccount(get_bearer_token_fun=lambda: tokens.pop(0))
    return ODPS(account=account, project=PROJECT, endpoint=emulator.endpoint)


def selected(client: ODPS) -> Instance:
    return client.execute_sql("select 1 as one")


def test_a_logview_address_opens_its_instance_and_no_other(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    job, other = selected(owner), selected(owner)
    address = urlsplit(job.get_logview_address(hours=1))
    assert address.path == "/logview/"
    query = {key: values[0] for key, values in parse_qs(address.query).items()}
    assert (query["p"], query["i"], query["h"]) == (PROJECT, job.id, emulator.endpoint)

    viewer = bearer(emulator, query["token"])
    seen = viewer.get_instance(job.id)
    assert seen.is_successful()
    assert seen.get_task_result(seen.get_task_names()[0])
    for tunnel in (True, False):
        with seen.open_reader(tunnel=tunnel) as reader:
            assert [row.one for row in reader] == [1]
    for refused in (
        lambda: viewer.get_instance(other.id).is_successful(),
        lambda: viewer.get_project().reload(),
        lambda: viewer.get_schema("default").reload(),
        lambda: list(viewer.list_tables()),
        lambda: viewer.get_table("test_kafka").reload(),
        lambda: viewer.execute_sql("select 1"),
    ):
        with pytest.raises(errors.NoPermission, match=r"\[4019\].*bearer token"):
            refused()
    assert list(viewer.list_projects()) == []


def test_the_end_of_a_token(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    token = signed(owner, statement(["odps:Describe"], "/tables/test_kafka"))
    table = renewing(emulator, [token] * 2).get_table("test_kafka")
    table.reload()
    emulator.app[CLOCK].shift = timedelta(minutes=59)
    table.reload()
    emulator.app[CLOCK].shift = timedelta(hours=1)
    with pytest.raises(errors.AuthenticationRequestExpired):
        table.reload()


def test_a_new_token_is_asked_for_when_the_old_one_has_ended(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    tokens = [signed(owner, statement(["odps:*"], "*"), hours=hours) for hours in (1, 3)]
    viewer = renewing(emulator, tokens)
    viewer.get_table("test_kafka").reload()
    emulator.app[CLOCK].shift = timedelta(hours=2)
    viewer.get_table("test_kafka").reload()
    assert tokens == []


def test_a_token_gives_no_more_than_its_signer_has(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    alice = user(emulator, owner)
    write(owner, create=True)
    viewer = bearer(emulator, signed(alice, statement(["odps:*"], "*")))
    assert viewer.execute_security_query("whoami")["DisplayName"] == ALICE
    with pytest.raises(errors.NoPermission):
        viewer.get_table("test_kafka").reload()
    owner.execute_security_query(f"grant Describe, Select on table test_kafka to `{ALICE}`")
    owner.execute_security_query(f"grant CreateInstance on project {PROJECT} to `{ALICE}`")
    assert run(viewer, "select topic from test_kafka where pt='a'") == [["orders"]]
    with pytest.raises(errors.NoPermission):
        write(viewer)
    owner.execute_security_query(f"remove user `{ALICE}`")
    with pytest.raises(errors.NoPermission, match="don't exist in project"):
        viewer.get_table("test_kafka").reload()


def test_a_token_writes_with_its_policy_and_sql_keeps_to_it(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    writer = bearer(
        emulator,
        signed(
            owner,
            statement(["odps:Update", "odps:Alter", "odps:Describe"], "/tables/test_*"),
            statement(["odps:CreateInstance"], ""),
            statement(["odps:Read"], "/instances/*"),
        ),
    )
    write(writer, create=True)
    assert run(owner, "select topic from test_kafka where pt='a'") == [["orders"]]
    with pytest.raises(errors.NoPermission, match="odps:Select"):
        writer.execute_sql("select topic from test_kafka where pt='a'")
    with pytest.raises(errors.NoPermission, match="odps:Drop"):
        writer.execute_sql("drop table test_kafka")


def test_a_policy_may_deny(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    owner.execute_sql("create table secret (a bigint)")
    token = signed(owner, statement(["odps:*"], "*"), statement(["odps:*"], "/tables/secret", "Deny"))
    viewer = bearer(emulator, token)
    viewer.get_table("test_kafka").reload()
    with pytest.raises(errors.NoPermission):
        viewer.get_table("secret").reload()


def test_no_token_manages_access_or_makes_another(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    viewer = bearer(emulator, signed(owner, statement(["odps:*"], "*")))
    for refused in (
        lambda: viewer.execute_security_query(f"add user `{ALICE}`"),
        lambda: viewer.execute_security_query("show grants"),
        lambda: viewer.get_project().policy,
        lambda: signed(viewer, statement(["odps:*"], "*")),
    ):
        with pytest.raises(errors.NoPermission, match="bearer token"):
            refused()
    assert [project.name for project in viewer.list_projects()] == [PROJECT]


def test_who_is_no_user_gets_no_token(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    alice = user(emulator, owner)
    owner.execute_security_query(f"remove user `{ALICE}`")
    with pytest.raises(errors.NoPermission, match="don't exist in project"):
        signed(alice, statement(["odps:Read"], ""))


def changed(token: str) -> str:
    """The same token, with its policy's Read become a Drop."""
    payload, _, seal = token.partition(".")
    forged = base64.urlsafe_b64decode(payload + "==").replace(b"odps:Read", b"odps:Drop")
    return f"{base64.urlsafe_b64encode(forged).decode().rstrip('=')}.{seal}"


def test_tokens_that_were_not_made_here(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    token = signed(owner, statement(["odps:Read"], ""))
    bearer(emulator, token).get_project().reload()
    with server.start(PROJECT) as other:
        foreign = signed(ODPS("ak", "sk", PROJECT, endpoint=other.endpoint), statement(["odps:Read"], ""))
    for wrong in ("token", "\u00fc.b", token[:-1], changed(token), foreign, "a.b"):
        with pytest.raises(errors.Unauthorized, match="bearer token"):
            bearer(emulator, wrong).get_project().reload()


@pytest.mark.parametrize("hours", [0, -1, 24 * 365 + 1, "1", None, True, float("inf"), float("nan")])
def test_lives_that_are_refused(owner: ODPS, hours: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="expires_in_hours"):
        signed(owner, statement(["odps:Read"], ""), hours=hours)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("text", "policy"),
        (None, "policy"),
        ({}, "Statement"),
        ({"Version": "2", "Statement": []}, "Version"),
        ({"Version": "1", "Statement": [{"Effect": "Allow", "Action": ["Read"], "Resource": "*"}]}, "Action"),
        (
            {"Version": "1", "Statement": [statement(["odps:Read"], "") | {"Principal": "*"}]},
            "only a project's policy has a Principal",
        ),
        ({"Version": "1", "Statement": [statement(["odps:Read"], "") | {"Condition": {}}]}, "Condition"),
    ],
)
def test_policies_that_are_refused(owner: ODPS, policy: Any, message: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=message):
        owner.get_project().generate_auth_token(policy, "bearer", 1)


def test_an_injected_end_hits_bearer_tokens_too(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    token = signed(owner, statement(["odps:Read"], ""))
    made = emulator.app[FAULTS].set(Fault(operation="project.get", answer="expired-token", times=1))
    viewer = renewing(emulator, [token] * 2)
    viewer.get_project().reload()
    assert made.fired == 1
