"""The random attack on deliveries: one seed makes one world and all that happens in it.

A world has a temper: how often a call fails, and one call and fate that it aims at, so that a few hundred worlds have
every call meet every fate that it can have.
"""

from __future__ import annotations

import random as random_module
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tests.property.delivery_world import HOUR, World
from tests.property.interleaving import Fate
from tests.property.source_topic import PARTITIONS, TOPIC, Kind, batch, placeless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.property.source_topic import Batch, SourceRecord
    from tests.property.world_services import Delivery

AT_ONCE = 3
"""Deliveries that are under way at a time."""
MOVES = range(15, 45)
"""How much happens in a world."""

AIMS = 4
"""So often a world tries in the end to get to the step that it's about."""
LATE = frozenset({"log.append release", "rows.count", "sessions.look claimed"})
"""Steps that come when a session is gone."""
GAPS = frozenset({"log.append empty", "topic.limits", "originals.passed"})
"""Steps that only come if the source topic has gaps."""
_ANY = (Fate.UNAVAILABLE, Fate.KILLED_BEFORE, Fate.KILLED_AFTER, Fate.SLOW)
_CHANGE = (*_ANY, Fate.LOST)
_APPEND = (*_CHANGE, Fate.UNTOLD)
STEPS: dict[str, tuple[Fate, ...]] = {
    "log.start": _ANY,
    "log.end": _ANY,
    "log.records": _ANY,
    "log.append claim": _APPEND,
    "log.append divert": _APPEND,
    "log.append settle": _APPEND,
    "log.append release": _APPEND,
    "log.append empty": _APPEND,
    "log.append snapshot": _APPEND,
    "log.append reset": _APPEND,
    "log.tombstone": (*_CHANGE, Fate.PARTLY),
    "sessions.open": (*_CHANGE, Fate.DENIED),
    "sessions.put_block": (*_CHANGE, Fate.DENIED),
    "sessions.look staged": (*_ANY, Fate.DENIED, Fate.NOT_FOUND),
    "sessions.look claimed": (*_ANY, Fate.DENIED, Fate.NOT_FOUND),
    "sessions.commit": (*_CHANGE, Fate.DENIED, Fate.NOT_FOUND),
    "rows.count": (*_ANY, Fate.DENIED),
    "letters.write": (*_CHANGE, Fate.DENIED, Fate.PARTLY),
    "originals.read": (*_ANY, Fate.DENIED),
    "originals.stream": (*_ANY, Fate.DENIED),
    "originals.passed": (*_ANY, Fate.DENIED),
    "topic.ids": (*_ANY, Fate.UNTOLD),
    "topic.ends": _ANY,
    "topic.limits": _ANY,
}
"""Every call, and every fate that it can have besides being done."""
HELD = {
    "log.end": 0.05,
    "log.records": 0.05,
    "log.append claim": 0.2,
    "log.append divert": 0.4,
    "log.append settle": 0.2,
    "log.append snapshot": 0.4,
    "log.append empty": 0.4,
    "log.tombstone": 0.3,
    "sessions.look claimed": 0.3,
    "sessions.commit": 0.2,
    "rows.count": 0.3,
    "letters.write": 0.3,
    "originals.read": 0.1,
    "originals.passed": 0.3,
    "topic.limits": 0.4,
}
"""Where it matters most who comes first, and how likely a worker that comes there is held."""


@dataclass(frozen=True, slots=True)
class Theme:
    """What a world is about: where workers are held, and how much more often something is done."""

    held: frozenset[str] = frozenset(HELD)
    more: Mapping[str, float] = field(default_factory=dict)
    strictness: float = 0.0
    looking: float = 0.4
    harm: float = 0.05


THEMES = (
    Theme(),
    Theme(
        frozenset({"log.end", "log.records", "log.append snapshot", "log.tombstone"}),
        {"overtake": 4, "compact": 2, "elect": 2},
    ),
    Theme(
        frozenset(
            {"log.append claim", "log.append divert", "sessions.look claimed", "sessions.commit", "letters.write"}
        ),
        {"overtake": 4},
        strictness=0.4,
        harm=0.15,
    ),
    Theme(more={"recreate": 6, "reset": 2, "truncate": 2, "unmark": 2, "overtake": 2}, looking=0.7),
    Theme(
        frozenset({"log.append empty", "originals.passed", "topic.limits"}),
        {"overtake": 4, "truncate": 3, "reset": 2},
        looking=0.9,
    ),
)
FOCUSES = tuple((step, fate) for step, fates in STEPS.items() for fate in fates)


@dataclass
class Report:
    """What attacks did."""

    worlds: int = 0
    moves: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    met: Counter[tuple[str, Fate]] = field(default_factory=Counter)

    def add(self, attack: Attack) -> None:
        """Take in one world."""
        self.worlds += 1
        self.moves.update(attack.moves)
        self.ended.update(attack.world.ended)
        self.met.update(attack.world.met)

    def missing(self) -> list[str]:
        """Calls that were never made, and fates that they never met."""
        return [f"{step}: {fate.value}" for step, fate in FOCUSES if not self.met[step, fate]]

    def counts(self) -> dict[str, dict[str, int]]:
        """What was done, by what it was done to."""
        counts: dict[str, dict[str, int]] = {
            "worlds": {"attacked": self.worlds},
            "moves": dict(self.moves),
            "deliveries": dict(self.ended),
        }
        for (step, fate), count in self.met.items():
            counts.setdefault(step, {})[fate.name.lower()] = count
        return counts


class Attack:
    """One world and what happens in it."""

    def __init__(self, seed: int) -> None:
        self.random = random = random_module.Random(seed)  # noqa: S311 - it has to be repeatable
        self.seed = seed
        self.steps: list[str] = []
        self.moves: Counter[str] = Counter()
        self.focus, self.fate = FOCUSES[seed % len(FOCUSES)]
        self.rate = random.choice([0.0, 0.02, 0.1])
        self.theme = random.choice(THEMES)
        self.is_upgraded = random.random() < 0.25
        self.looking = 1.0 if self.focus in GAPS or self.is_upgraded else self.theme.looking
        self.strictness = random.choice([0.0, 0.0, 0.3]) or self.theme.strictness
        self.stopping = random.choice([0.0, 0.0, 0.0, 0.5, 1.0])
        if self.focus in {"log.append divert", "letters.write", "originals.read", "originals.stream"}:
            self.stopping = 0.0
        self.world = World(
            seed,
            has_ids=not self.is_upgraded and random.random() < 0.7,
            replaced=2.0 if self.focus == "originals.stream" else 0.3,
            has_gaps=random.random() < self.looking,
            stops=self.stopping == 1.0,
            is_slow=random.random() < 0.3,
        )
        self._failed: list[Batch] = []
        self._elements = 0
        self._left: Batch | None = None

    def run(self) -> None:
        """All of it; raises `AssertionError`, with the seed and the steps, where something isn't as it has to be."""
        random_module.seed(self.seed)  # tenacity's waits
        world = self.world
        try:
            for number in range(PARTITIONS):
                world.topic.produce(number, self.random.randrange(2, 6))
            if self.is_upgraded:
                self._note(self._upgrade)
            if self.focus in LATE:
                self._note(self._abandon)
            self._note(self._begin)
            for _ in range(self.random.choice(MOVES)):
                self._note(self._chosen())
                world.check()
            for _ in range(AIMS):
                if not world.met[self.focus, self.fate]:
                    self._note(self._abandon if self.focus in LATE else self._aim)
                    self._note(self._aim)
            self.steps.append("end")
            world.end(self._cut)
        except Exception as error:
            told = "\n  ".join(self.steps)
            raise AssertionError(f"seed {self.seed}: {error}\n  {told}") from error
        finally:
            world.close()

    def _note(self, move: Callable[[], str]) -> None:
        self.steps.append(f"{move.__name__[1:]} ...")
        self.steps[-1] = f"{move.__name__[1:]} {move()}"
        self.moves[move.__name__[1:]] += 1

    def _chosen(self) -> Callable[[], str]:
        world = self.world
        moves: dict[Callable[[], str], float] = {
            self._produce: 2,
            self._wait: 2,
            self._compact: 1.5,
            self._elect: 0.3,
            self._forget: 0.7,
            self._cancel: 0.2,
            self._truncate: 0.3,
            self._recreate: 0.6 if self.is_upgraded else 0.15,
            self._unmark: 0.3,
        }
        if not world.operators:
            moves[self._reset] = 0.5 if world.recognized == world.topic.incarnation else 3
        if not world.met[self.focus, self.fate]:
            moves[self._aim] = 6
        if len(world.running) < AT_ONCE:
            moves[self._begin] = 6
        if world.running:
            moves[self._overtake] = 5
            moves[self._step] = 10
            moves[self._finish] = 6
        weights = [weight * self.theme.more.get(move.__name__[1:], 1) for move, weight in moves.items()]
        return self.random.choices(list(moves), weights)[0]

    # What EventBridge does

    def _begin(self) -> str:
        random, world = self.random, self.world
        if self._failed and random.random() < 0.5:
            chosen = self._failed.pop(random.randrange(len(self._failed)))
        else:
            chosen = self._batch()
        delivery = world.begin(
            chosen,
            warm=random.random() < 0.5,
            strict=random.random() < self.strictness,
            stops=random.random() < self.stopping,
            looks=random.random() < self.looking,
        )
        self._track(delivery)
        ids = " ".join("-".join(map(str, one.id)) if not isinstance(one, str) else one for one in chosen.order)
        return f"{'strict ' * delivery.instance.strict}{'stop ' * delivery.stops}{ids}"

    def _track(self, delivery: Delivery) -> None:
        """A batch that isn't acknowledged comes again."""
        self._failed.append(delivery.batch)

    def _batch(self) -> Batch:
        """Some records in a row, of one topic-partition or several, mostly what isn't settled; some twice."""
        random, world = self.random, self.world
        records: list[SourceRecord | str] = []
        by_place: dict[int, list[SourceRecord]] = {}
        for one in world.topic.delivered():
            by_place.setdefault(one.id[1], []).append(one)
        if not by_place:
            world.topic.produce(0, 3)
            return self._batch()
        for number in random.sample(sorted(by_place), min(len(by_place), random.choice([1, 1, 2, 3]))):
            found = by_place[number]
            first = random.randrange(len(found))
            fresh = [index for index, one in enumerate(found) if one.at not in world.truth.settled]
            if fresh and random.random() < 0.6:
                first = max(0, fresh[0] - random.choice([0, 0, 1, 2]))
            records += found[first : first + random.randrange(1, 6)]
        if random.random() < 0.2:
            records += random.choices(records, k=random.randrange(1, 3))
        if random.random() < 0.2:
            random.shuffle(records)
        if random.random() < 0.1:
            self._elements += 1
            records.insert(random.randrange(len(records) + 1), placeless(self._elements, random))
        return batch(random, records)

    def _cut(self, records: list[SourceRecord]) -> Iterator[Batch]:
        """All records, in batches cut anywhere."""
        size = self.random.randrange(3, 30)
        for start in range(0, len(records), size):
            yield batch(self.random, records[start : start + size])

    def _produce(self) -> str:
        number = self.random.randrange(PARTITIONS)
        self.world.topic.produce(number, self.random.randrange(1, 4))
        return f"{number}, up to {self.world.topic.ends[TOPIC, number]}"

    # What becomes of calls

    def _step(self) -> str:
        """One worker goes on to some call, which may then fail or be its last."""
        random, world = self.random, self.world
        ways = [(one.worker, partial(world.go, one)) for one in world.running]
        worker, go = random.choice([*ways, *((one, partial(world.operate, one)) for one in world.operators)])
        target = self.focus if random.random() < 0.6 else random.choice(list(STEPS))
        wanted = random.choice([target, target, random.randrange(1, 12)])
        count = 0
        while worker.at is not None and wanted not in (worker.at, count):
            go(self._fate_at(worker.at))
            count += 1
        step = worker.at
        if step is None:
            return "to its end"
        fate = self._fate_at(step)
        if random.random() < 0.5:
            fate = self.fate if step == self.focus else random.choice(STEPS[step])
        if random.random() < 0.3:
            return f"{step}: stays before it"
        go(fate)
        return f"{step}: {fate.value}"

    def _overtake(self) -> str:
        """One worker is held before a call, another with records of the same batch ends, and more happens."""
        random, world = self.random, self.world
        held = random.choice(world.running)
        while not held.worker.ended:
            step = held.worker.at or ""
            if step in self.theme.held and random.random() < HELD[step]:
                break
            world.go(held)
        else:
            return "to its end"
        told = [f"held before {held.worker.at}"]
        told += [self._other(held) for _ in range(random.choice([1, 1, 2, 3]))]
        moves: dict[Callable[[], str], float] = {
            self._compact: 0.5,
            self._truncate: 0.1,
            self._wait: 0.1,
            self._recreate: 0.02 * self.theme.more.get("recreate", 1),
            self._reset: 0.2 if world.recognized == world.topic.incarnation else 0.5,
        }
        for move, chance in moves.items():
            if random.random() < chance and not (move == self._reset and world.operators):
                told.append(f"{move.__name__[1:]} {move()}")
        if not held.worker.ended:
            fate = random.choice(STEPS[held.worker.at or ""]) if random.random() < 0.3 else Fate.DONE
            told.append(f"{held.worker.at}: {fate.value}")
            world.go(held, fate)
        if random.random() < 0.5 and not held.worker.ended:
            world.finish(held)
        return ", ".join(told)

    def _other(self, held: Delivery) -> str:
        """Another delivery comes to its end, mostly with some of the records of one that is held."""
        random, world = self.random, self.world
        records = list(self._batch().order)
        if random.random() < 0.5 and all(one.id[0] >= world.recognized for one in held.batch.records):
            records += held.batch.order
        other = world.begin(
            batch(random, random.sample(records, random.randrange(1, len(records) + 1))),
            warm=random.random() < 0.5,
            strict=random.random() < self.strictness,
            stops=world.stops,
            looks=random.random() < self.looking,
        )
        while not other.worker.ended:
            step = other.worker.at or ""
            is_harmed = step in self.theme.held and random.random() < self.theme.harm
            world.go(other, random.choice(STEPS[step]) if is_harmed else self._fate_at(step))
        return f"another: {other.worker.error!r}"[:60]

    def _fate_at(self, step: str | None) -> Fate:
        if self.random.random() < self.rate:
            return self.random.choice(STEPS[step or ""])
        if step == self.focus and self.random.random() < 0.2:
            return self.fate
        return Fate.DONE

    def _aim(self) -> str:
        """Somebody goes on to the call that this world is about, and it has its fate."""
        world = self.world
        if self.focus == "log.append reset":
            return self._reset() if not world.operators else self._operate()
        if self.focus in GAPS:
            world.topic.produce(0, 4)
            world.begin(batch(self.random, world.topic.delivered()), looks=True, stops=world.stops)
        elif self._left is not None:
            world.begin(self._left, stops=world.stops)
        elif not world.running:
            self._begin()
        if not world.running:
            return "to its end"
        delivery = world.running[-1] if self.focus in GAPS | LATE else self.random.choice(world.running)
        while delivery.worker.at not in {None, self.focus}:
            world.go(delivery)
        if delivery.worker.ended:
            return "to its end"
        world.go(delivery, self.fate)
        return f"{self.focus}: {self.fate.value}"

    def _abandon(self) -> str:
        """A delivery is killed at its commit, and nobody looks at its claim for a day."""
        world, topic = self.world, self.world.topic
        topic.produce(0, 4)
        good = [one for one in topic.delivered() if one.kind is Kind.GOOD and one.at not in world.truth.taken]
        self._left = batch(self.random, good[:4])
        delivery = world.begin(self._left, stops=world.stops)
        while delivery.worker.at not in {None, "sessions.commit"}:
            world.go(delivery)
        if not delivery.worker.ended:
            world.go(delivery, self.random.choice([Fate.KILLED_BEFORE, Fate.KILLED_BEFORE, Fate.KILLED_AFTER]))
        world.wait(26 * HOUR)
        world.table.forget()
        return f"{len(good)} records"

    def _operate(self) -> str:
        """The reset goes on to its append, which has its fate."""
        worker = self.world.operators[0]
        while worker.at not in {None, self.focus}:
            self.world.operate(worker)
        if worker.ended:
            return "to its end"
        self.world.operate(worker, self.fate)
        return self.fate.value

    def _finish(self) -> str:
        delivery = self.random.choice(self.world.running)
        self.world.finish(delivery)
        return repr(delivery.worker.error)[:200]

    # What time, brokers and people do

    def _wait(self) -> str:
        hours = self.random.choice([0.01, 0.1, 1.0, 23.0, 26.0, 26.0])
        self.world.wait(hours * HOUR)
        return f"{hours} h"

    def _compact(self) -> str:
        tombstones = self.random.random() < 0.5
        before = self.random.choice([None, None, self.random.randrange(40)])
        self.world.log.compact(tombstones=tombstones, before=before)
        return f"{tombstones=} {before=}"

    def _elect(self) -> str:
        self.world.log.elect()
        return ""

    def _forget(self) -> str:
        return f"{self.world.table.forget()} sessions"

    def _cancel(self) -> str:
        self.world.table.cancel(self.random.choice)
        return ""

    def _truncate(self) -> str:
        number = self.random.randrange(PARTITIONS)
        self.world.topic.truncate(number, self.random.randrange(self.world.topic.ends[TOPIC, number] + 1))
        return f"{number} to {self.world.topic.starts[TOPIC, number]}"

    def _unmark(self) -> str:
        """Compaction of the source topic takes a marked record."""
        marked = {(place, mark.offset) for place, mark in self.world.truth.marks.items()}
        return self.world.topic.compact(one for one in self.world.acknowledged if one.at in marked)

    def _upgrade(self) -> str:
        """An earlier release has claimed some records before, and marked none."""
        self.world.log.has_marks = False
        for _ in range(self.random.randrange(1, 4)):
            self.world.finish(self.world.begin(self._batch(), stops=self.world.stops))
        self.world.log.has_marks = True
        return "from a release without marks"

    def _recreate(self) -> str:
        topic = self.world.topic
        same = self.random.random() < 0.6
        for operator in list(self.world.operators):
            while not operator.ended:
                self.world.operate(operator, Fate.KILLED_BEFORE)
        topic.recreate(same_times=same)
        for number in range(PARTITIONS):
            topic.produce(number, self.random.randrange(1, 15 if self.is_upgraded else 9))
        return "at the same times" if same else "at later times"

    def _reset(self) -> str:
        random, world = self.random, self.world
        if world.recognized != world.topic.incarnation:
            self._failed.clear()
            self._left = None
            starts = dict.fromkeys(world.topic.starts, 0)
        else:
            chosen = random.sample(range(PARTITIONS), random.choice([1, PARTITIONS]))
            starts = {(TOPIC, number): random.randrange(world.topic.ends[TOPIC, number] + 1) for number in chosen}
        worker = world.reset(starts)
        at_once = random.random() < 0.6
        while at_once and not worker.ended:
            world.operate(worker, self._fate_at(worker.at))
        return f"{ {number: start for (_, number), start in starts.items()} }{' begun' * (not at_once)}"
