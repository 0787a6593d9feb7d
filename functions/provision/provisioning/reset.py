"""The action `reset`: named topic-partitions begin at given offsets, in the ledger and in the group.

What the ledger has as settled from there on is forgotten, so those records are written again; what is before counts as
written. It begins a new generation, so that no claim of before has an effect any more.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from kafka_maxcompute.errors import LedgerError, RefusedError
from kafka_maxcompute.ledger import identity, marks
from kafka_maxcompute.ledger.operations import Genesis, Reset, Snapshot, State
from kafka_maxcompute.ledger.source_topics import ids
from kafka_maxcompute.offsets import count, gaps, within
from provisioning import brokers
from provisioning.connector_resources import stream
from provisioning.lag import of_ledger
from provisioning.resources.ledger import begin, opened
from provisioning.resources.start import outside
from provisioning.resources.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kafka_maxcompute.ledger.operations import Identity, Mark
    from kafka_maxcompute.offsets import Interval, TopicPartition
    from provisioning.cloud import Cloud

EXACTLY_ONCE = "exactly-once"


@dataclass(frozen=True, slots=True)
class Found:
    """What a reset begins from: `state` is None without a ledger, and `lost` says why where there should be one.

    `starts` are the wanted first offsets, `logs` the first and next offset of each topic-partition of the source topic,
    `committed` where the group has come to. `marks` are records of these logs; `marked` has the digest of the record
    that each log holds at the ledger's mark. With `same_topic` the caller vouches for the topic.
    """

    starts: Mapping[int, int]
    logs: Mapping[int, Interval]
    committed: Mapping[int, int]
    now: Identity
    running: bool
    state: State | None = None
    lost: str = ""
    marks: Mapping[TopicPartition, Mark] = field(default_factory=dict)
    marked: Mapping[TopicPartition, str] = field(default_factory=dict)
    same_topic: bool = False


def reset(cloud: Cloud) -> dict[str, Any]:
    """Say what it would do; do it where the connector's name confirms it, and nothing stands against it."""
    request, settings = cloud.request, cloud.request.settings
    if not request.start and request.start_timestamp is None and not request.same_topic:
        fault = "start: say where topic-partitions begin, by start or start_timestamp, or that all go on, by same_topic"
        return {"state": "blocked", "faults": [fault], "topic_partitions": []}
    found = _look(cloud)
    told = [_told(settings.source_topic, number, found) for number in sorted(found.starts)]
    faults = list(against(cloud.request.settings.source_topic, found))
    if request.confirm not in {"", settings.name}:
        faults.append(f"confirm: expected the connector's name, {settings.name!r}, found {request.confirm!r}")
    if faults or not request.confirm:
        return {"state": "blocked" if faults else "planned", "faults": faults, "topic_partitions": told}
    # The group first: brokers refuse it while there are members, and then the ledger has to be what it was.
    if found.starts:
        brokers.commit(cloud, found.starts)
    generation = _begin(cloud, found) if settings.delivery == EXACTLY_ONCE else None
    return {"state": "reset", "faults": [], "topic_partitions": told, "generation": generation}


def against(topic: str, found: Found) -> Iterator[str]:
    """Why it can't be done. Pure."""
    if found.running:
        yield "the stream is running; pause it first"
    yield from outside(topic, found.starts, found.logs).values()
    if found.state is not None and found.state.pending:
        names = ", ".join(sorted(found.state.pending))
        yield f"claims are pending: {names}; status brings them to their end, then call again"
    yield from _table(found)
    others = sorted(found.logs.keys() - found.starts.keys())
    if found.lost and others:
        listed = ", ".join(map(str, others))
        yield f"the ledger can't be relied on ({found.lost}), so name every topic-partition; {listed} are missing"
    elif others and found.state is not None:
        yield from _others(topic, found, found.state)


def _table(found: Found) -> Iterator[str]:
    """A ledger that goes on needs a table that is known by its creation time."""
    if found.state is None:
        if found.same_topic:
            yield "same_topic: expected a ledger to go on with, found none; name every topic-partition instead"
        return
    known, now = found.state.identity.table_created if found.state.identity else 0, found.now.table_created
    if not now:
        yield f"table {found.now.table}: expected its creation time from MaxCompute, found none; call again"
    elif not found.starts and known not in {0, now}:
        yield (
            f"table {found.now.table}: expected the one created at {known} (epoch ms), found {now}; "
            "name the topic-partitions whose records are to be in it"
        )


def _others(topic: str, found: Found, state: State) -> Iterator[str]:
    """What is settled in topic-partitions that aren't named has to be about the topic that is there."""
    places = {(topic, number): end for number, (_, end) in found.logs.items() if number not in found.starts}
    held = {where: state.settled[where] for where in places if where in state.settled}
    marked = {where: digest for where, digest in found.marked.items() if where in places}
    observed = identity.Observed(topics=found.now.topics, ends=places, dropped=held, marks=marked)
    signs = list(identity.signs_of_another(state, observed))
    for sign in signs:
        yield f"name these topic-partitions as well: {sign}"
    if not signs and not found.same_topic:
        advice = (
            f"if {topic} is still the topic that was written from, give same_topic; else name every topic-partition"
        )
        yield from (f"{doubt}; {advice}" for doubt in identity.unproven_logs(state, observed))


def _look(cloud: Cloud) -> Found:
    request, settings, deadline = cloud.request, cloud.request.settings, cloud.deadline.within(brokers.SECONDS)
    moment = request.start_timestamp
    starts = request.start if moment is None else brokers.offsets_at(cloud, moment)
    topic, logs = settings.source_topic, brokers.logs(cloud)
    places = [(topic, number) for number in logs]
    feeding = stream(request)
    has = feeding.look(cloud)
    running = has is not None and not feeding.is_paused(has)
    committed, table = brokers.committed(cloud), f"{settings.project}.{settings.table}"
    if settings.delivery != EXACTLY_ONCE:
        now = identity.identity(settings.name, table, None, {})
        return Found(starts, logs, committed, now, running, same_topic=request.same_topic)
    definition = Table(settings).look(cloud)
    if definition is None:
        remedy = "create it first (plan without create_table prints the statement), then call again"
        raise RefusedError(
            f"expected table {table}, which the ledger is to be about, found none; {remedy}", code="NoSuchTable"
        )
    now = identity.identity(settings.name, table, definition.created, ids(cloud.clients.admin, [topic], deadline))
    originals = cloud.clients.logs()
    found = Found(
        starts,
        logs,
        committed,
        now,
        running,
        marks=marks.of_logs({(topic, number): ends for number, ends in logs.items()}, originals, deadline),
        same_topic=request.same_topic,
    )
    with opened(cloud, settings) as (_, ledger):
        try:
            state = ledger.read(deadline)
        except LedgerError as error:
            return dataclasses.replace(found, lost=str(error))
    held = {where: offsets for where, offsets in state.settled.items() if where in places}
    return dataclasses.replace(found, state=state, marked=marks.look(state, held, originals, deadline).digests)


def _told(topic: str, number: int, found: Found) -> dict[str, Any]:
    """What becomes of one topic-partition, in the numbers that `status` shows: offsets that the log still has.

    `delivered_again` are those from the start on that are done with, and `left_out` those before it that aren't. Done
    with is what the ledger has as settled; without a ledger, what the group has committed.
    """
    start, (first, end) = found.starts[number], found.logs.get(number, (0, 0))
    committed = found.committed.get(number)
    if found.state is not None:
        done = found.state.settled.get((topic, number), ())
    else:
        done = ((0, committed - 1),) if committed else ()
    stands = of_ledger(done, first, end)
    return {
        "topic": topic,
        "partition": number,
        "start": start,
        "end": end if number in found.logs else None,
        "committed": committed,
        "settled_up_to": None if found.state is None else stands["settled_up_to"],
        "lag": stands["lag"],
        "delivered_again": count(within(done, max(first, start), end - 1)),
        "left_out": count(gaps(done, within=(first, start - 1))) if start > first else 0,
    }


def _begin(cloud: Cloud, found: Found) -> int:
    """The next generation of the ledger, or a new beginning of one that is lost; raises `RefusedError` for a loser."""
    topic, name = cloud.request.settings.source_topic, uuid.uuid4().hex
    with opened(cloud, cloud.request.settings) as (log, ledger):
        begun: Reset | Snapshot
        if found.state is None:
            # A snapshot covers something, so there has to be something even in a topic created again.
            ledger.append(Genesis(identity=found.now), cloud.deadline)
            end = log.end(cloud.deadline)
            starts = {(topic, number): start for number, start in found.starts.items()}
            begun = identity.new_beginning(
                found.now, starts, end=end, now=time.time_ns() // 1_000_000, id_=name, marks=found.marks
            )
        else:
            begun = _reset(found.state, topic, found, name)
        return begin(ledger, begun, name, cloud.deadline).generation


def _reset(state: State, topic: str, found: Found, name: str) -> Reset:
    """The next generation. A topic that goes on keeps its id if the brokers don't tell it now."""
    starts = {(topic, number): start for number, start in found.starts.items()}
    goes_on = found.logs.keys() > found.starts.keys() and state.identity is not None
    known = state.identity.topics if goes_on and state.identity else {}
    about = replace(found.now, topics={**known, **found.now.topics})
    return Reset(id=name, generation=state.generation + 1, identity=about, starts=starts, marks=dict(found.marks))
