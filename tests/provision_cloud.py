"""A control plane, a broker and MaxCompute of one account, and somebody who provisions a connector in them."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fc_powertools.context import Context, Function
from fc_powertools.credentials import ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN
from fc_powertools.decorators import opened
from kafka_maxcompute.maxcompute.jobs import run_security
from kafka_maxcompute.maxcompute.sql import Statement
from local_emulator.control_plane import server as control_plane
from local_emulator.control_plane.account_setup import add_instance
from local_emulator.control_plane.alikafka.entities import MANY, KafkaInstance, Topic
from local_emulator.control_plane.function_compute import deployment
from local_emulator.control_plane.maxcompute_keys import registrar
from local_emulator.control_plane.sts import issue_to_service
from local_emulator.control_plane.surroundings import Surroundings
from local_emulator.function_compute import template as function_template
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.maxcompute import server as maxcompute
from local_emulator.maxcompute.authentication import Credential
from local_emulator.maxcompute.keys import ACCOUNTS
from provisioning import invocation
from provisioning.request import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.kafka.broker import Broker
    from provisioning.cloud import Cloud
    from provisioning.request import Request

ACCOUNT = control_plane.ACCOUNT_ID
INSTANCE = "alikafka_local"
PROJECT = "connector_test"
TEMPLATE = Path(__file__).resolve().parents[1] / "template.yml"
SECONDS = 120


@dataclass(frozen=True, slots=True)
class Surrounding:
    """What runs; `settings` are the connector's, `keys` the caller's access key."""

    plane: control_plane.ControlPlaneServer
    tables: maxcompute.MaxComputeServer
    broker: Broker
    settings: dict[str, str]
    keys: tuple[str, ...] = ("ak", "sk")
    delivered: list[bytes] = field(default_factory=list)

    def event(self, action: str, settings: dict[str, Any] | None = None, **fields: Any) -> bytes:
        """An invocation's event."""
        return json.dumps({"action": action, "settings": self.settings | (settings or {}), **fields}).encode()

    def variables(self) -> dict[str, str]:
        """The provisioning function's environment."""
        names = (ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN)
        own = {f"CONNECTOR_{name.upper()}": str(value) for name, value in self.settings.items()}
        keys = dict(zip(names, self.keys))  # noqa: B905 # no token for users
        return {**own, "CONTROL_ENDPOINT": self.plane.url, **keys}

    def ask(self, action: str, settings: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """The reply to one invocation."""
        context = Context(request_id="r", function=Function(timeout=SECONDS))
        with opened(context, environment=self.variables()) as current:
            return invocation.answer(self.event(action, settings, **fields), current)

    @contextmanager
    def cloud(self, action: str = "apply", settings: dict[str, Any] | None = None, **fields: Any) -> Iterator[Cloud]:
        """What resources work with while an invocation lasts."""
        context = Context(request_id="r", function=Function(timeout=SECONDS))
        with opened(context, environment=self.variables()) as current:
            request = self.request(action, settings, **fields)
            with invocation.opened(request, current) as cloud:
                yield cloud

    def request(self, action: str = "apply", settings: dict[str, Any] | None = None, **fields: Any) -> Request:
        """An event, read."""
        return read(self.event(action, settings, **fields), self.variables())

    def user(self, name: str, *documents: str) -> Surrounding:
        """The same, as a RAM user with these policies, who is an administrator of the project."""
        keys = self.plane.add_user(name, *documents)
        self.admit(f"RAM${ACCOUNT}:{name}", keys)
        return replace(self, keys=keys)

    def assumed(self, role: str) -> Surrounding:
        """The same, as a function with that role."""
        plane = self.plane
        key_id, key = issue_to_service(
            plane.state, ACCOUNT, role, "fc.aliyuncs.com", now=plane.clock.now(), life=timedelta(hours=1)
        )
        registrar(self.tables.app[ACCOUNTS])(key_id, key)
        return replace(self, keys=(key_id, key.secret, key.token))

    def admit(self, principal: str, keys: tuple[str, str]) -> None:
        """Let MaxCompute know a key, and its project an administrator."""
        accounts = self.tables.app[ACCOUNTS]
        accounts.add(keys[0], Credential(keys[1], accounts.principal(principal)))
        with self.cloud() as cloud:
            for statement in (f"add user `{principal}`", f"grant admin to `{principal}`"):
                run_security(cloud.maxcompute, Statement(statement), cloud.deadline)

    def deploy(self, settings: dict[str, Any] | None = None, **variables: str) -> None:
        """What `s deploy` does, for a function that takes every batch; `variables` are the shell's."""
        given = self.settings | (settings or {})
        environment = {f"CONNECTOR_{name.upper()}": str(value) for name, value in given.items()}
        template = function_template.load(TEMPLATE, environment | variables, account_id=ACCOUNT)
        deployment.deploy(self.plane, template, lambda _: self.delivered.append)

    def changes(self) -> list[str]:
        """The names of the calls so far that could change something."""
        return [
            action for action in self.plane.log.actions() if not action.startswith(("Get", "List", "Show", "Describe"))
        ]


@contextmanager
def running(broker: Broker | None = None, name: str = "orders", **instance: Any) -> Iterator[Surrounding]:
    """All of it, and a Kafka instance with the source topic, in the broker given or in one of its own."""
    with ExitStack() as parts:
        broker = broker or parts.enter_context(EmbeddedBroker())
        tables = parts.enter_context(maxcompute.start(project=PROJECT, account_id=ACCOUNT))
        around = Surroundings(broker=broker, register_key=registrar(tables.app[ACCOUNTS]))
        plane = parts.enter_context(control_plane.start(surroundings=around))
        source = Topic(f"{name}-in", "source", 6, datetime.now(timezone.utc))
        add_instance(
            plane,
            KafkaInstance(
                INSTANCE, topics={source.name: source}, **{"topic_limit": MANY, "partition_limit": MANY, **instance}
            ),
        )
        settings = {
            "name": name,
            "instance_id": INSTANCE,
            "source_topic": f"{name}-in",
            "endpoint": tables.endpoint,
            "project": PROJECT,
            "table": "test_kafka",
            # The ledger has tests of its own; here it would be two seconds a look, for an embedded broker leaves the
            # questions for topic ids and configurations unanswered.
            "delivery": "at-least-once",
        }
        yield Surrounding(plane, tables, broker, settings)
