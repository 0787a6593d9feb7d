"""Deploys and applies side by side: neither undoes the other, and connectors don't touch one another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools.context import Context
from fc_powertools.context import Function as FunctionOfContext
from fc_powertools.decorators import opened
from local_emulator.control_plane.function_compute import deployment
from local_emulator.control_plane.function_compute.entities import Triggers
from local_emulator.function_compute import template as function_template
from provisioning.invocation import answer
from tests.provision_cloud import ACCOUNT, SECONDS, TEMPLATE, Surrounding, running
from tests.stream_clients import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.function_compute.template import Function, Template


@pytest.fixture
def around() -> Iterator[Surrounding]:
    with running() as started:
        yield started


def template(around: Surrounding, settings: dict[str, str], **variables: str) -> Template:
    given = around.settings | settings
    environment = {f"CONNECTOR_{name.upper()}": str(value) for name, value in given.items()}
    return function_template.load(TEMPLATE, environment | variables, account_id=ACCOUNT)


def trigger(around: Surrounding, function: Function) -> dict[str, Any]:
    """The trigger as the service has it, which a deploy compares with the template's."""
    with around.plane.state.lock:
        stored = around.plane.state.part(Triggers).functions[function.name][function.trigger().name].config
    config: dict[str, Any] = json.loads(stored)
    return config


def test_the_walk_of_the_readme_and_a_deploy_that_has_nothing_to_change(around: Surrounding) -> None:
    """Deployed with the stream off, applied, and deployed as template.yml has it."""
    around.deploy(STREAM_ENABLED="false")
    planned = around.ask("plan", create_table=True)
    assert [one["do"] for one in planned["steps"] if one["resource"].startswith("trigger")] == ["change"]
    assert around.ask("status")["state"] == "paused"
    assert around.ask("apply", create_table=True)["state"] == "applied"
    assert eventually(lambda: around.ask("status")["state"] == "running")

    sink = template(around, {}).functions["sink"]
    assert trigger(around, sink) == json.loads(json.dumps(sink.trigger().config))
    changes = around.changes()
    around.deploy()
    assert around.changes() == changes
    planned = around.ask("plan", create_table=True)
    assert planned["state"] == "unchanged", planned
    assert around.ask("status")["state"] == "running"


def test_connectors_side_by_side(around: Surrounding) -> None:
    """One provisioner, whose variables are the first one's, sets up both; ending one leaves the other as it is."""
    broker = around.broker
    broker.create_topic("payments-in", 3)
    second = {"name": "payments", "source_topic": "payments-in", "table": "payments"}
    first, other = template(around, {}), template(around, second)
    both = dict(first.functions) | {"second": other.functions["sink"]}
    deployment.deploy(
        around.plane,
        function_template.Template(first.path, first.account_id, both),
        lambda _: around.delivered.append,
    )
    variables = first.functions["provisioner"].environment

    def ask(action: str, settings: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        """As the deployed function answers, out of its own variables."""
        event = json.dumps({"action": action, "settings": settings or {}, **fields}).encode()
        context = Context(request_id="r", function=FunctionOfContext(timeout=SECONDS))
        with opened(context, environment={**variables, **around.variables()}) as current:
            return answer(event, current)

    assert ask("apply", create_table=True)["state"] == "applied"
    applied = ask("apply", second, create_table=True)
    assert applied["state"] == "applied", applied
    for resource in ("topic connect-offset-payments", f"table {around.settings['project']}.payments"):
        assert resource in applied["done"]
    assert "role AliyunKafkaMaxComputeUser1" not in applied["done"]
    assert ask("plan")["state"] == ask("plan", second)["state"] == "unchanged"

    gone = ask("destroy", second, confirm="payments", remove=["topics"], accept_risk=["again"])
    assert gone["state"] == "destroyed", gone
    assert all("payments" in title for title in gone["removed"])
    planned = ask("plan")
    assert planned["state"] == "unchanged", planned
    assert eventually(lambda: ask("status")["state"] == "running")
