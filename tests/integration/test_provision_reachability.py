"""A plan whose brokers ask for TLS and a login: what stands against it is told with all the rest, before any change."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import ResourceType

from kafka_maxcompute.errors import RefusedError
from local_emulator.control_plane.account_setup import add_secret
from provisioning import preflight, reachability, rights
from provisioning.preflight_facts import Facts
from tests.kafka_security import PASSWORD, USER, SecuredKafka
from tests.provision_cloud import Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.java, pytest.mark.xdist_group("apache_kafka")]


@pytest.fixture
def around(secured_kafka: SecuredKafka, tmp_path: Any) -> Iterator[Surrounding]:
    """A cloud whose provisioner comes to the secured brokers with a password out of KMS."""
    authority = tmp_path / "ca.pem"
    authority.write_text(secured_kafka.certificates.authority, encoding="ascii")
    with running(secured_kafka.broker, f"orders-{uuid.uuid4().hex[:8]}") as made:
        add_secret(made.plane, "orders/kafka", PASSWORD)
        login = {
            "bootstrap_servers": secured_kafka.broker.servers["SASL_SSL"],
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": USER,
            "sasl_password": "kms:orders/kafka",
            "ssl_ca": str(authority),
        }
        yield replace(made, settings=made.settings | login)


def test_a_password_out_of_kms_lets_it_in_and_rights_that_lack_are_faults(
    secured_kafka: SecuredKafka, around: Surrounding
) -> None:
    with around.cloud("plan") as cloud:
        found = reachability.look(cloud)
        assert found.lacking == rights.needed(cloud.request.settings)
        faults = preflight.faults(cloud.request, Facts(account=cloud.account, reached=found), ())
    group = around.settings["name"]
    assert f"the brokers don't allow {USER} Describe on group connect-{group}; add an ACL for it" in faults
    secured_kafka.allow(ResourceType.TOPIC, "*", "ALL")
    secured_kafka.allow(ResourceType.GROUP, "*", "ALL")
    with around.cloud("plan") as cloud:
        assert reachability.look(cloud).lacking == ()


def test_what_the_broker_says_is_told_with_all_other_faults_and_nothing_is_changed(around: Surrounding) -> None:
    add_secret(around.plane, "orders/kafka", "wrong-horse")
    around.plane.log.clear()
    reply = around.ask("apply", {"account_id": "42", "delivery": "exactly-once"})
    assert reply["state"] == "blocked"
    told = "\n".join(reply["faults"])
    assert "SASL authentication error: Authentication failed" in told
    assert "fix sasl_username, sasl_password or sasl_mechanism" in told
    assert "account_id: expected 42" in told
    unseen = [one["resource"] for one in reply["steps"] if "SASL authentication error" in str(one.get("why"))]
    name = around.settings["name"]
    assert unseen == [f"ledger in topic connect-offset-{name}", f"settings of {name} in topic connect-config-{name}"]
    assert PASSWORD not in str(reply)
    assert "wrong-horse" not in str(reply)
    assert around.changes() == []


def test_a_secret_that_may_not_be_read_says_which_permission(around: Surrounding) -> None:
    stranger = replace(around, keys=around.plane.add_user("stranger"))
    with stranger.cloud("plan") as cloud, pytest.raises(RefusedError) as raised:
        assert cloud.clients
    assert "Forbidden.NoPermission" in str(raised.value)
    assert "; grant kms:GetSecretValue on acs:kms:cn-hangzhou:" in str(raised.value)
