"""The actions of an invocation; each returns JSON that a person can read and a machine can compare."""

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
from provisioning.connector_resources import before_deploy, is_manual, resources, stream
from provisioning.convergence import converge, dissolve, until_true
from provisioning.plan import make_plan
from provisioning.redrive.action import redrive
from provisioning.redrive.listing import letters
from provisioning.request import REMOVABLE
from provisioning.reset import reset
from provisioning.resources.broker_group import BrokerGroup
from provisioning.resources.broker_topics import BrokerTopic
from provisioning.resources.event_stream import EventStream
from provisioning.resources.grants import Grants
from provisioning.resources.group import Group
from provisioning.resources.ledger import ConnectorLedger, ObservedLedger
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
"""How often removed topics are looked for again, each time after a pause of `LOOK_AGAIN_SECONDS`."""
NO_ERRORS: list[dict[str, Any]] = []
_log = logging.getLogger(__name__)
_KINDS: dict[type, str] = {Grants: "grants", Role: "role", Table: "table", Topic: "topics", BrokerTopic: "topics"}
_KINDS |= dict.fromkeys((EventStream, Trigger, SettingsRecord, Group, BrokerGroup), "")
"""The resources that `destroy` removes, each with the word in `remove` that is needed for the removal ("": none)."""


def bootstrap(cloud: Cloud) -> dict[str, Any]:
    """Create what the first deploy needs: the roles of both functions, and the policy of the provisioner's role.

    The keys have to allow roles and policies. The reply has the statements that only the project's owner can run, and
    the variables of template.yml that the Kafka instance decides.
    """
    done = []
    for resource in before_deploy(cloud.request, cloud.account):
        state = resource.look(cloud)
        if step(resource, state, manual=False).do != "keep":
            converge(resource, cloud, state, manual=False)
            done.append(resource.title)
    user = principal(cloud.account, PROVISIONER)
    statements = [str(sql.add_user(user)), str(sql.grant_admin(user))]
    questions, settings = preflight_facts.Questions(), cloud.request.settings
    instance = (
        questions.ask(lambda: find_instance(settings, cloud.control), preflight_facts.NOTHING)
        if settings.instance_id
        else {}
    )
    if not instance and not questions.faults:
        questions.faults.append(
            f"no Kafka instance {settings.instance_id!r} in {settings.region}, so its network isn't known"
        )
    return {
        "state": "applied" if done else "unchanged",
        "faults": questions.faults,
        "done": done,
        "variables": network.variables(instance, settings),
        "for_the_projects_owner": statements,
    }


def plan(cloud: Cloud) -> dict[str, Any]:
    """Return what `apply` would do."""
    return make_plan(cloud).as_json()


def apply(cloud: Cloud) -> dict[str, Any]:
    """Do the plan's steps, or nothing at all if a fault blocks the plan."""
    planned = make_plan(cloud)
    if planned.state == "blocked":
        return {**planned.as_json(), "done": []}
    done: list[str] = []
    for item in planned.items:
        if item.step.do == "keep":
            continue
        try:
            converge(item.resource, cloud, item.state, manual=is_manual(cloud.request, item.resource))
        except BatchError as error:
            _log.warning("resource failed", extra={"resource": item.resource.title, "do": item.step.do})
            return {**planned.as_json(), "state": "incomplete", "done": done, "faults": [str(error)]}
        _log.info("resource done", extra={"resource": item.resource.title, "do": item.step.do})
        done.append(item.resource.title)
    return {**planned.as_json(), "state": "applied" if done else "unchanged", "done": done}


def status(cloud: Cloud) -> dict[str, Any]:
    """Return the stream's status, the lag of group and ledger, the last errors, and every difference from the plan."""
    planned = make_plan(cloud)
    stream_state = planned.stream.state
    state = "absent" if stream_state is None else stream(cloud.request).status(stream_state)
    questions = preflight_facts.Questions()
    progress = questions.ask(lambda: preflight_facts.progress(cloud), preflight_facts.NOTHING)
    settings = cloud.request.settings
    # A ledger that blocks an apply is read, too, such as after the table was created again: its pending claims have to
    # be completed first.
    readable = any(isinstance(item.state, ObservedLedger) and item.state.state is not None for item in planned.items)
    ledger = (
        questions.ask(lambda: ledger_status.ledger(cloud), preflight_facts.NOTHING)
        if readable
        else preflight_facts.NOTHING
    )
    has_errors = planned.has_topic(settings.status_topic)
    errors = questions.ask(lambda: ledger_status.errors(cloud), NO_ERRORS) if has_errors else NO_ERRORS
    has_letters = planned.has_topic(settings.error_topic)
    letters_written = questions.ask(lambda: ledger_status.dead_letters(cloud), None) if has_letters else None
    group = lag.of_group(progress)
    places = (group["topic_partitions"], ledger.get("topic_partitions", ()))
    return {
        "state": state,
        "version": __version__,
        "lag": group,
        "ledger": ledger,
        "errors": errors,
        "dead_letters": letters_written,
        "faults": [*planned.faults, *questions.faults, *lag.beyond(*places)],
        "warnings": [*planned.warnings, *lag.passed(*places)],
        "drift": [item.step.as_json() for item in planned.items if item.step.do != "keep"],
    }


def pause(cloud: Cloud) -> dict[str, Any]:
    """Stop the stream; the group keeps its committed offsets."""
    resource = stream(cloud.request)
    if resource.look(cloud) is None:
        return {"state": "absent", "faults": [f"{resource.title} doesn't exist; apply creates it"]}
    resource.pause(cloud)
    _await_pause(resource, cloud)
    return {"state": "paused", "faults": []}


def _await_pause(resource: Stream[StateT], cloud: Cloud) -> None:
    def is_paused() -> bool:
        state = resource.look(cloud)
        return state is None or resource.is_paused(state)

    until_true(is_paused, cloud, f"{resource.title} isn't paused yet; call again")


def resume(cloud: Cloud) -> dict[str, Any]:
    """Start the stream from the committed offsets, if no fault blocks the plan."""
    planned = make_plan(cloud)
    item = planned.stream
    faults = [*planned.faults, *(reason for other in planned.items for reason in other.step.why)]
    if item.state is None and not faults:
        faults = [f"{item.resource.title} doesn't exist; apply creates it"]
    if faults:
        return {"state": "blocked", "faults": faults}
    converge(item.resource, cloud, item.state, manual=True)
    return {"state": "running", "faults": []}


def destroy(cloud: Cloud) -> dict[str, Any]:
    """Remove the stream, the group and what `remove` names, in the reverse order of creation; keep the rest."""
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
            continue  # the ledger is removed with its topic
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
    faults = _recreated(topics, cloud) if topics else []
    state = "incomplete" if faults else "destroyed"
    removable = [word for word in REMOVABLE if word not in request.remove]
    return {"state": state, "faults": faults, "removed": removed, "kept": kept, "removable": removable}


def _lost_with_topics(cloud: Cloud) -> list[str]:
    """Return what removing the connector's topics would lose, except for accepted risks."""
    request, settings = cloud.request, cloud.request.settings
    if _KINDS[Topic] not in request.remove:
        return []
    lost = []
    if settings.delivery == "exactly-once" and _KINDS[Table] not in request.remove and "again" not in request.accepted:
        lost.append(
            f"remove: only the ledger in {settings.offset_topic} has the records that are in table {settings.table}, "
            "so without it a later apply writes them again; keep the topics, remove the table too, or accept the risk "
            "'again'"
        )
    if "letters" not in request.accepted and not is_surely_empty(cloud, settings.error_topic):
        lost.append(
            f"remove: {settings.error_topic} may hold dead letters that nobody has redriven, and no other copy of "
            "their records may exist; redrive them first, keep the topics, or accept the risk 'letters'"
        )
    return lost


def _recreated(topics: Sequence[AnyResource], cloud: Cloud) -> list[str]:
    """Remove topics again that come back after their removal; return a fault for each that came back every time.

    A client that still writes into a topic, or requests its metadata, creates the topic again if brokers allow that.
    """
    recreated: list[AnyResource] = []
    for _ in range(LOOKS_AGAIN):
        time.sleep(min(LOOK_AGAIN_SECONDS, cloud.deadline.remaining()))
        recreated = [topic for topic in topics if dissolve(topic, cloud)]
        if not recreated:
            break
    remedy = "a running client creates it, with the brokers' default settings; stop the client, then destroy again"
    return [f"{topic.title} came back after it was removed; {remedy}" for topic in recreated]


def test(cloud: Cloud) -> dict[str, Any]:
    """Send the test message and wait for its row; with `probe`, send a probe instead."""
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
    "letters": letters,
    "redrive": redrive,
    "audit": audit,
}
