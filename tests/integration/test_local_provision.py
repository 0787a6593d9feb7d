"""`python -m local_emulator provision` on a running cloud: plans, changes, refusals, and whose keys each part has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from odps import ODPS
from odps.accounts import StsAccount
from odps.errors import NoPermission, ODPSError

from local_emulator import cloud, local_template
from local_emulator.__main__ import main
from local_emulator.cli import sql_answers
from local_emulator.eventbridge.errors import InvocationError
from local_emulator.provisioner import invoke
from tests.local_cloud import await_rows, client, command, up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.cloud import Cloud
    from local_emulator.endpoints import Endpoints
    from local_emulator.function_compute.surroundings import Credentials

ROOT = Path(__file__).resolve().parents[2]
NAME = "kafka-maxcompute-sink"
PRODUCTION = {
    "CONNECTOR_BOOTSTRAP_SERVERS": "alikafka-x-1.alikafka.aliyuncs.com:9093",
    "CONNECTOR_SECURITY_PROTOCOL": "SASL_SSL",
    "CONNECTOR_SASL_MECHANISM": "PLAIN",
    "CONNECTOR_SASL_USERNAME": "user",
    "CONNECTOR_SASL_PASSWORD": "kms:kafka-maxcompute/password",
}
"""As a .env for production has them; the local broker has another address and no login."""


@pytest.fixture
def running(project_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud in this process, deployed and not provisioned, with the variables of brokers that need a login."""
    monkeypatch.chdir(project_copy)
    with cloud.start("embedded", {"BATCH_SECONDS": "1", **PRODUCTION}) as started:
        yield started


def steps(reply: dict[str, Any]) -> dict[str, str]:
    return {step["resource"]: step["do"] for step in reply["steps"]}


def test_a_connector_is_looked_at_paused_resumed_destroyed_and_made_again(project_copy: Path) -> None:
    with up(project_copy) as started:
        assert "table connector_test.test_kafka: created" in started.said()
        planned = client(project_copy, "provision", "plan")
        assert f"| topic connect-offset-{NAME} " in planned
        assert "create" not in planned
        assert json.loads(client(project_copy, "provision", "plan", "--json"))["state"] == "unchanged"

        assert "paused" in client(project_copy, "provision", "pause")
        looked = client(project_copy, "provision", "status")
        assert "enabled: false → true" in looked
        assert "paused" in looked.splitlines()[-1]
        client(project_copy, "send", "--key", "k1", "--value", "sent while it's paused")
        assert "running" in client(project_copy, "provision", "resume")
        assert "sent while it's paused" in await_rows(project_copy, "sent while it's paused")
        assert "the stream is PAUSED" in started.said()

        refused = command(project_copy, "provision", "destroy", '{"confirm": "another"}')
        assert refused.returncode == 1
        assert f"expected the connector's name, '{NAME}', found 'another'" in refused.stdout
        words = json.dumps({"confirm": NAME, "remove": ["topics"], "accept_risk": ["again"]})
        assert f"removed: topic connect-offset-{NAME}" in client(project_copy, "provision", "destroy", words)
        made = client(project_copy, "provision", "apply")
        assert f"  topic connect-offset-{NAME}: created" in made.splitlines()
        assert f"  trigger kafka-stream of maxcompute-sink-{NAME}: changed" in made.splitlines()

        # A group that was removed begins again, so the new table gets the records that the topic still has.
        client(project_copy, "provision", "destroy", json.dumps({"confirm": NAME, "remove": ["topics", "table"]}))
        client(project_copy, "provision", "apply", '{"create_table": true}')
        assert "sent while it's paused" in await_rows(project_copy, "sent while it's paused")
        assert "sound" in client(project_copy, "audit")


@pytest.fixture(scope="module")
def standing(project_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cloud for all that changes nothing, in a folder where no other one is."""
    folder = tmp_path_factory.mktemp("standing")
    for child in project_copy.iterdir():
        if child.name != ".local":
            (folder / child.name).symlink_to(child)
    with up(folder):
        yield folder


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("plan", "--set", "mode=KEY"), "its CONNECTOR_MODE is 'DEFAULT', here mode is 'KEY'"),
        (("plan", "--set", "mode=SIDEWAYS", "--set", "format=JSON"), "mode: expected one of"),
        (("plan", '{"settings": {"partition": "YEAR"}}', "--set", "mode=KEY"), "partition: expected one of"),
        (("plna",), "action: expected one of bootstrap, plan, apply"),
        (("apply", '{"create_tabel": true}'), "create_tabel: no such field; did you mean create_table?"),
        (("plan", "--set", "topic=other"), "topic: no such setting"),
    ],
)
def test_what_stands_against_an_action_is_said_and_fails_the_command(
    standing: Path, words: tuple[str, ...], expected: str
) -> None:
    ran = command(standing, "provision", *words)
    assert ran.returncode == 1
    assert expected in ran.stdout
    shown = command(standing, "provision", *words, "--json")
    assert shown.returncode == 1
    assert json.loads(shown.stdout)["state"] in {"blocked", "refused"}


def test_a_reset_that_the_embedded_broker_cant_do_is_refused_before_anything_is_changed(standing: Path) -> None:
    shown = command(standing, "provision", "reset", '{"start": {"0": 0}}')
    assert "error: this reset can't be done here: the embedded broker keeps the offsets" in shown.stderr
    assert "topic partitions:" in shown.stdout
    refused = command(standing, "provision", "reset", json.dumps({"start": {"0": 0}, "confirm": NAME}), "--json")
    assert json.loads(refused.stdout)["error"].endswith("Nothing was changed")
    assert refused.returncode == 1


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("plan", "{"), 1, "found no JSON"),
        (("plan", "[1]"), 1, "as a JSON object, found list"),
        (("plan", "--set", "mode"), 2, "expected NAME=VALUE, found 'mode'"),
        (("plan",), 1, "no local cloud is running"),
    ],
)
def test_a_wrong_use_says_what_to_do(tmp_path: Path, words: tuple[str, ...], code: int, expected: str) -> None:
    ran = command(
        tmp_path, "provision", *words, environment={"PYTHONPATH": str(cloud.__file__).rpartition("/local")[0]}
    )
    assert ran.returncode == code, ran.stderr
    assert expected in ran.stderr


def test_the_least_policy_is_printed_without_a_cloud(project_copy: Path) -> None:
    policy = json.loads(client(project_copy, "policy"))
    assert any("alikafka:CreateTopic" in statement["Action"] for statement in policy["Statement"])
    assert "functions/maxcompute-sink-*" in json.dumps(policy)
    wrong = command(project_copy, "policy", environment={"CONNECTOR_MODE": "SIDEWAYS"})
    assert wrong.returncode == 1
    assert "mode: expected one of" in wrong.stderr


def test_each_function_has_the_keys_of_its_own_role(running: Cloud) -> None:
    at, plane = running.endpoints, running.account.plane
    plane.log.clear()
    assert invoke(at, {"action": "apply", "create_table": True})["state"] == "applied"
    callers = {entry.principal for entry in plane.log if entry.action != "InvokeFunction"}
    assert callers == {f"acs:ram::{at.account_id}:assumed-role/kafka-maxcompute-provisioner/fc"}
    running.invoke(b"[]")
    template = local_template.template(running.account.variables())
    sink, provisioner = (
        as_role(at, running.account.plane.plane.assume(template.functions[name])) for name in ("sink", "provisioner")
    )
    with pytest.raises(NoPermission):
        sink.execute_sql("create table another (x bigint)")
    provisioner.execute_sql("create table another (x bigint)")


def as_role(at: Endpoints, keys: Credentials) -> ODPS:
    account = StsAccount(keys.access_key_id, keys.access_key_secret, keys.security_token)
    return ODPS(account=account, project=at.project, endpoint=at.maxcompute)


def test_a_second_apply_changes_nothing(running: Cloud) -> None:
    at, plane = running.endpoints, running.account.plane
    first = invoke(at, {"action": "apply", "create_table": True})
    assert first["done"]
    plane.log.clear()
    assert invoke(at, {"action": "apply", "create_table": True})["state"] == "unchanged"
    changing = [name for name in plane.log.actions() if not name.startswith(("Get", "List", "Invoke"))]
    assert changing == []


def test_maxcompute_asks_ram_whether_there_is_such_a_role(running: Cloud) -> None:
    owner = sql_answers.connect(running.endpoints)
    account = running.endpoints.account_id
    with pytest.raises(ODPSError, match="RAM has no such user or role"):
        owner.execute_security_query(f"add user `RAM${account}:role/nobody`")
    with pytest.raises(ODPSError, match="RAM has no such user or role"):
        owner.execute_security_query(f"add user RAM${account}:nobody")
    running.account.plane.add_user("somebody")
    owner.execute_security_query(f"add user RAM${account}:somebody")


def test_faults_of_the_control_plane_are_set_by_the_same_command(
    running: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    with running.endpoints.published():
        assert main(["fault", "--control", "set", "AliKafka.CreateTopic", "reset", "--applied"]) == 0
        assert invoke(running.endpoints, {"action": "apply", "create_table": True})["state"] == "applied"
        assert main(["fault", "--control", "list"]) == 0
    assert "fired 1 (AliKafka.CreateTopic 1), applied 1" in capsys.readouterr().out


def test_a_function_whose_role_is_gone_is_refused(running: Cloud) -> None:
    assert invoke(running.endpoints, {"action": "destroy", "confirm": NAME, "remove": ["role"]})["faults"] == []
    with pytest.raises(InvocationError, match=r"403 .*role/aliyunkafkamaxcomputeuser1 can't be assumed"):
        running.invoke(b"[]")


def test_what_was_made_is_kept_with_a_data_folder(
    project_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_copy)
    with cloud.start("embedded", {"BATCH_SECONDS": "1"}, data_dir=tmp_path) as first:
        assert not first.paused
        assert invoke(first.endpoints, {"action": "apply", "create_table": True})["state"] == "applied"
        assert invoke(first.endpoints, {"action": "test", "topic_partition": 3})["state"] == "arrived"
        assert invoke(first.endpoints, {"action": "pause"})["state"] == "paused"
    with cloud.start("embedded", {"BATCH_SECONDS": "1"}, data_dir=tmp_path) as second:
        assert second.paused
        assert second.bootstrapped["done"] == []
        planned = steps(invoke(second.endpoints, {"action": "plan"}))
        assert planned.pop(f"trigger kafka-stream of maxcompute-sink-{NAME}") == "change"
        # The services have other addresses than before.
        assert planned.pop(f"settings of {NAME} in topic connect-config-{NAME}") == "change"
        assert set(planned.values()) == {"keep"}
        audited = invoke(second.endpoints, {"action": "audit"})
        assert (audited["state"], sum(place["rows"] for place in audited["topic_partitions"])) == ("sound", 1)
        assert second.stream is None
