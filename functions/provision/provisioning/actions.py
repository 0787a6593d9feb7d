"""What an invocation can ask for; each answers with JSON that a person can read and a machine can compare."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from kafka_maxcompute import __version__
from kafka_maxcompute.errors import BatchError
from kafka_maxcompute.maxcompute import sql
from provisioning import lag, ledger_status, message_test, network, preflight_facts, probe
from provisioning.audit.action import audit
from provisioning.broker_configuration import find_instance
from provisioning.connector_resources import before_deploy, left_alone, resources, stream
from provisioning.convergence import converge, dissolve, until_true
from provisioning.plan import make_plan
from provisioning.redrive.action import redrive
from provisioning.request import REMOVABLE
from provisioning.reset import reset
from provisioning.resources.broker_group import BrokerGroup
from provisioning.resources.broker_topics import BrokerTopic
from provisioning.resources.event_stream import EventStream
from provisioning.resources.grants import Grants
from provisioning.resources.group import Group
from provisioning.resources.ledger import ConnectorLedger, LedgerFound
from provisioning.resources.policy import PROVISIONER
from provisioning.resources.role import Role, principal
from provisioning.resources.settings_record import SettingsRecord
from provisioning.resources.table import Table
from provisioning.resources.topics import Topic, is_surely_empty
from provisioning.resources.trigger import Trigger
from provisioning.step import step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provisioning.cloud import Cloud
    from provisioning.resource import AnyResource, StateT, Stream

LOOKS_AGAIN, LOOK_AGAIN_SECONDS = 3, 2.0
"""How often topics that were removed are looked for again, each time after such a pause."""
NO_ERRORS: list[dict[str, Any]] = []
_log = logging.getLogger(__name__)
_KINDS: dict[type, str] = {Grants: "grants", Role: "role", Table: "table", Topic: "topics", BrokerTopic: "topics"}
_KINDS |= dict.fromkeys((EventStream, Trigger, SettingsRecord, Group, BrokerGroup), "")
"""What `destroy` removes, and the word in `remove` without which it stays."""


def bootstrap(cloud: Cloud) -> dict[str, Any]:
    """Make what the first deploy needs: the roles of both functions, the provisioner's with its policy.

    For the keys of somebody who may make roles and policies; says what only the project's owner can do, and which
    variables of template.yml the Kafka instance decides.
    """
    done = []
    for resource in before_deploy(cloud.request, cloud.account):
        found = resource.look(cloud)
        if step(resource, found, manual=False).do != "keep":
            converge(resource, cloud, found, manual=False)
            done.append(resource.title)
    user = principal(cloud.account, PROVISIONER)
    statements = [str(sql.add_user(user)), str(sql.grant_admin(user))]
    asking, settings = preflight_facts.Asking(), cloud.request.settings
    instance = (
        asking.learn(lambda: find_instance(settings, cloud.control), preflight_facts.NOTHING)
        if settings.instance_id
        else {}
    )
    if not instance and not asking.faults:
        asking.faults.append(
            f"no Kafka instance {settings.instance_id!r} in {settings.region}, so its network isn't known"
        )
    return {
        "state": "applied" if done else "unchanged",
        "faults": asking.faults,
        "done": done,
        "variables": network.variables(instance, settings),
        "for_the_projects_owner": statements,
    }


def plan(cloud: Cloud) -> dict[str, Any]:
    """Say what `apply` would do."""
    return make_plan(cloud).as_json()


def apply(cloud: Cloud) -> dict[str, Any]:
    """Make and fix what the plan says, or nothing at all where something stands against it."""
    planned = make_plan(cloud)
    if planned.state == "blocked":
        return {**planned.as_json(), "done": []}
    done: list[str] = []
    for item in planned.items:
        if item.step.do == "keep":
            continue
        try:
            converge(item.resource, cloud, item.found, manual=left_alone(cloud.request, item.resource))
        except BatchError as error:
            _log.warning("resource failed", extra={"resource": item.resource.title, "do": item.step.do})
            return {**planned.as_json(), "state": "incomplete", "done": done, "faults": [str(error)]}
        _log.info("resource done", extra={"resource": item.resource.title, "do": item.step.do})
        done.append(item.resource.title)
    return {**planned.as_json(), "state": "applied" if done else "unchanged", "done": done}


def status(cloud: Cloud) -> dict[str, Any]:
    """Say whether the stream runs, how far it is, and what isn't as it should be."""
    planned = make_plan(cloud)
    feeding = planned.stream
    state = "absent" if feeding.found is None else stream(cloud.request).state(feeding.found)
    asking = preflight_facts.Asking()
    progress = asking.learn(lambda: preflight_facts.progress(cloud), preflight_facts.NOTHING)
    settings = cloud.request.settings
    # Also one that blocks an apply, such as after the table was created again: what is pending there has to end first.
    readable = any(isinstance(item.found, LedgerFound) and item.found.state is not None for item in planned.items)
    ledger = (
        asking.learn(lambda: ledger_status.ledger(cloud), preflight_facts.NOTHING)
        if readable
        else preflight_facts.NOTHING
    )
    tells = planned.has_topic(settings.status_topic)
    errors = asking.learn(lambda: ledger_status.errors(cloud), NO_ERRORS) if tells else NO_ERRORS
    group = lag.of_group(progress)
    beyond = lag.beyond(group["topic_partitions"], ledger.get("topic_partitions", ()))
    return {
        "state": state,
        "version": __version__,
        "lag": group,
        "ledger": ledger,
        "errors": errors,
        "faults": [*planned.faults, *asking.faults, *beyond],
        "warnings": list(planned.warnings),
        "drift": [item.step.as_json() for item in planned.items if item.step.do != "keep"],
    }


def pause(cloud: Cloud) -> dict[str, Any]:
    """Stop the stream; the group keeps where it has come to."""
    feeding = stream(cloud.request)
    if feeding.look(cloud) is None:
        return {"state": "absent", "faults": [f"{feeding.title} isn't there; apply makes it"]}
    feeding.pause(cloud)
    _await_pause(feeding, cloud)
    return {"state": "paused", "faults": []}


def _await_pause(feeding: Stream[StateT], cloud: Cloud) -> None:
    def paused() -> bool:
        found = feeding.look(cloud)
        return found is None or feeding.is_paused(found)

    until_true(paused, cloud, f"{feeding.title} isn't paused yet; call again")


def resume(cloud: Cloud) -> dict[str, Any]:
    """Start the stream where it was paused, if nothing stands against it."""
    planned = make_plan(cloud)
    feeding = planned.stream
    against = [*planned.faults, *(line for item in planned.items for line in item.step.why)]
    if feeding.found is None and not against:
        against = [f"{feeding.resource.title} isn't there; apply makes it"]
    if against:
        return {"state": "blocked", "faults": against}
    converge(feeding.resource, cloud, feeding.found, manual=True)
    return {"state": "running", "faults": []}


def destroy(cloud: Cloud) -> dict[str, Any]:
    """Remove the stream and the group, last made first, and what is named in `remove`; the rest is kept."""
    request = cloud.request
    if request.confirm != request.settings.name:
        wanted = f"confirm: expected the connector's name, {request.settings.name!r}, found {request.confirm!r}"
        return {"state": "blocked", "faults": [f"{wanted}; nothing was removed"], "removed": [], "kept": []}
    if lost := _lost_with_topics(cloud):
        return {"state": "blocked", "faults": lost, "removed": [], "kept": []}
    removed, kept = [], []
    topics: list[AnyResource] = []
    for resource in reversed(resources(request, cloud.account)):
        word = _KINDS.get(type(resource))
        if isinstance(resource, ConnectorLedger) and _KINDS[Topic] in request.remove:
            continue  # it goes with its topic
        if word is None or (word and word not in request.remove):
            kept.append(resource.title)
            continue
        if isinstance(resource, Trigger):
            resource.remove(cloud)
            _await_pause(resource, cloud)
            kept.append(f"{resource.title}, switched off; `s remove` removes it with the function")
        elif dissolve(resource, cloud):
            removed.append(resource.title)
        if isinstance(resource, BrokerTopic | Topic):
            topics.append(resource)
    faults = _kept_away(topics, cloud) if topics else []
    state = "incomplete" if faults else "destroyed"
    return {"state": state, "faults": faults, "removed": removed, "kept": kept, "removable": list(REMOVABLE)}


def _lost_with_topics(cloud: Cloud) -> list[str]:
    """What removing the connector's topics would lose, those apart whose risk is accepted."""
    request, settings = cloud.request, cloud.request.settings
    if _KINDS[Topic] not in request.remove:
        return []
    lost = []
    if settings.delivery == "exactly-once" and _KINDS[Table] not in request.remove and "again" not in request.accepted:
        lost.append(
            f"remove: without the ledger in {settings.offset_topic} nothing tells which records are in table "
            f"{settings.table}, and an apply after this one writes them again; keep the topics, remove the table too, "
            "or accept the risk 'again'"
        )
    if "letters" not in request.accepted and not is_surely_empty(cloud, settings.error_topic):
        lost.append(
            f"remove: {settings.error_topic} may hold dead letters that nobody has redriven, and their records may be "
            "nowhere else; redrive them first, keep the topics, or accept the risk 'letters'"
        )
    return lost


def _kept_away(topics: Sequence[AnyResource], cloud: Cloud) -> list[str]:
    """Remove topics again that come back after they were removed; which of them come back each time.

    A client that still writes into a topic, or asks for it, creates it again if brokers let it.
    """
    back: list[AnyResource] = []
    for _ in range(LOOKS_AGAIN):
        time.sleep(min(LOOK_AGAIN_SECONDS, cloud.deadline.remaining()))
        back = [topic for topic in topics if dissolve(topic, cloud)]
        if not back:
            break
    remedy = "a client that still runs creates it, with the brokers' default settings; end it, then destroy again"
    return [f"{topic.title} came back after it was removed; {remedy}" for topic in back]


def test(cloud: Cloud) -> dict[str, Any]:
    """Send the test message and wait for its row; with `probe`, find out what the services' documents leave open."""
    return probe.run(cloud) if cloud.request.probe else message_test.run(cloud)


ACTIONS: dict[str, Callable[[Cloud], dict[str, Any]]] = {
    "bootstrap": bootstrap,
    "plan": plan,
    "apply": apply,
    "status": status,
    "test": test,
    "pause": pause,
    "resume": resume,
    "destroy": destroy,
    "reset": reset,
    "redrive": redrive,
    "audit": audit,
}
