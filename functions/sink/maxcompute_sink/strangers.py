"""Old claims of other batches: any delivery brings them to their end, within a budget that they share.

A claim can be impossible to end for hours, and there can be many of them. So all of them together get a bounded part of
a delivery, and each is tried at most once in it. The order is fair: first those that were never tried, in random order
because the next instance begins without a memory too, then those whose last try is the longest ago.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maxcompute_sink.parallel import each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.ledger.operations import Pending

OLD_SECONDS = 180.0
"""What has been pending for longer is rolled forward by anyone: its own delivery may never come again."""
BUDGET_SECONDS = 20.0
"""The longest that a delivery works at all of them together."""
TRY_SECONDS = 5.0
"""The longest first try of a claim; each further one by the same instance may take twice as long, up to the budget."""
LEAST_SECONDS = 0.5
"""With less than this left of the budget, no further claim is tried."""
PAUSE_SECONDS = 60.0
"""How long an instance leaves a claim alone after trying it, and all of them after a delivery used up its budget."""


@dataclass(slots=True)
class _Try:
    """When a claim was tried last (epoch seconds), and how long that could take."""

    at: float
    seconds: float


@dataclass(slots=True)
class Strangers:
    """What one instance knows of old claims; kept between deliveries."""

    _tries: dict[str, _Try] = field(default_factory=dict)
    _rests_until: float = 0.0

    def budget(self, deadline: Deadline) -> Budget:
        """A delivery's budget; no claim is worked at after the deadline."""
        return Budget(self, deadline)

    def due(self, pending: Iterable[Pending], now: float) -> list[Pending]:
        """Those of some claims that may be tried now, in the order in which to try them; `now` in epoch seconds."""
        if now < self._rests_until:
            return []
        found = [one for one in pending if now - one.timestamp / 1_000 > OLD_SECONDS and self._may_try(one, now)]
        random.shuffle(found)
        return sorted(found, key=lambda one: self._tries[one.operation.id].at if one.operation.id in self._tries else 0)

    def begin(self, stranger: Pending, now: float) -> float:
        """Note a try of a claim that begins now; the seconds that it may take."""
        before = self._tries.get(stranger.operation.id)
        seconds = TRY_SECONDS if before is None else min(2 * before.seconds, BUDGET_SECONDS)
        self._tries[stranger.operation.id] = _Try(now, seconds)
        return seconds

    def rest(self, now: float) -> None:
        """Leave all of them alone for a while."""
        self._rests_until = now + PAUSE_SECONDS

    def keep_only(self, ids: Iterable[str]) -> None:
        """Forget the claims that aren't pending any more."""
        for gone in self._tries.keys() - set(ids):
            self._tries.pop(gone, None)

    def _may_try(self, one: Pending, now: float) -> bool:
        before = self._tries.get(one.operation.id)
        return before is None or now - before.at >= PAUSE_SECONDS


@dataclass(slots=True)
class Budget:
    """What one delivery may spend on old claims."""

    _strangers: Strangers
    _deadline: Deadline
    _until: Deadline | None = None
    _tried: set[str] = field(default_factory=set)

    def due(self, pending: Iterable[Pending], now: float) -> list[Pending]:
        """Those of some claims that this delivery is to try, in the order in which to try them."""
        if not self._has_time():
            return []
        return [one for one in self._strangers.due(pending, now) if one.operation.id not in self._tried]

    def spend(
        self, due: Sequence[Pending], work: Callable[[Pending, Deadline], None], clock: Callable[[], float]
    ) -> None:
        """Work at claims that are due, several at a time, while the budget lasts; `clock` gives epoch seconds."""
        until = self._until = self._until or self._deadline.within(BUDGET_SECONDS)

        def tried(stranger: Pending) -> None:
            if self._has_time():
                self._tried.add(stranger.operation.id)
                work(stranger, until.within(self._strangers.begin(stranger, clock())))

        each(tried, due)
        if not self._has_time():
            self._strangers.rest(clock())

    def _has_time(self) -> bool:
        return (self._until or self._deadline).remaining() >= LEAST_SECONDS
