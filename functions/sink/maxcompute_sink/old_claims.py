"""When to roll forward old claims of other batches: any delivery does so, within a budget that all old claims share.

Some claims can't be rolled forward for hours, and there can be many of them. So all old claims together get a bounded
part of a delivery's time, and a delivery tries each claim at most once. The order is fair. Claims that were never tried
come first, in random order because each new instance begins without a memory; then come the other claims, those with
the oldest try first.
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
"""A claim that has been pending for longer is old: its own batch may never be delivered again."""
BUDGET_SECONDS = 20.0
"""The longest time that a delivery spends on all old claims together."""
TRY_SECONDS = 5.0
"""The longest first try of a claim; each further try by the same instance may take twice as long, up to the budget."""
LEAST_SECONDS = 0.5
"""With less than this left of the budget, no further claim is tried."""
PAUSE_SECONDS = 60.0
"""How long an instance skips a claim after trying it, and all old claims after a delivery used up its budget."""


@dataclass(slots=True)
class _Try:
    """When a claim was last tried (epoch seconds), and how long the try was allowed to take."""

    at: float
    seconds: float


@dataclass(slots=True)
class OldClaims:
    """The tries of old claims by one instance; kept between deliveries."""

    _tries: dict[str, _Try] = field(default_factory=dict)
    _rests_until: float = 0.0

    def budget(self, deadline: Deadline) -> Budget:
        """Return a delivery's budget; no claim is tried after the deadline."""
        return Budget(self, deadline)

    def due(self, pending: Iterable[Pending], now: float) -> list[Pending]:
        """Return the claims that may be tried now, in the order in which to try them; `now` is in epoch seconds."""
        if now < self._rests_until:
            return []
        old = [claim for claim in pending if now - claim.timestamp / 1_000 > OLD_SECONDS and self._may_try(claim, now)]
        random.shuffle(old)
        return sorted(old, key=self._last_try)

    def begin(self, claim: Pending, now: float) -> float:
        """Note a try of a claim that begins now; return the seconds that the try may take."""
        before = self._tries.get(claim.operation.id)
        seconds = TRY_SECONDS if before is None else min(2 * before.seconds, BUDGET_SECONDS)
        self._tries[claim.operation.id] = _Try(now, seconds)
        return seconds

    def rest(self, now: float) -> None:
        """Skip all old claims for `PAUSE_SECONDS`."""
        self._rests_until = now + PAUSE_SECONDS

    def keep_only(self, ids: Iterable[str]) -> None:
        """Forget the claims that aren't pending any more."""
        for gone in self._tries.keys() - set(ids):
            self._tries.pop(gone, None)

    def _last_try(self, claim: Pending) -> float:
        before = self._tries.get(claim.operation.id)
        return 0 if before is None else before.at

    def _may_try(self, claim: Pending, now: float) -> bool:
        before = self._tries.get(claim.operation.id)
        return before is None or now - before.at >= PAUSE_SECONDS


@dataclass(slots=True)
class Budget:
    """The time that one delivery may spend on old claims."""

    _old_claims: OldClaims
    _deadline: Deadline
    _until: Deadline | None = None
    _tried: set[str] = field(default_factory=set)

    def due(self, pending: Iterable[Pending], now: float) -> list[Pending]:
        """Return the claims that this delivery is to try, in the order in which to try them."""
        if not self._has_time():
            return []
        return [claim for claim in self._old_claims.due(pending, now) if claim.operation.id not in self._tried]

    def spend(
        self, due: Sequence[Pending], work: Callable[[Pending, Deadline], None], clock: Callable[[], float]
    ) -> None:
        """Call `work` with each due claim, several at a time, while the budget lasts; `clock` gives epoch seconds."""
        until = self._until = self._until or self._deadline.within(BUDGET_SECONDS)

        def try_claim(claim: Pending) -> None:
            if self._has_time():
                self._tried.add(claim.operation.id)
                work(claim, until.within(self._old_claims.begin(claim, clock())))

        each(try_claim, due)
        if not self._has_time():
            self._old_claims.rest(clock())

    def _has_time(self) -> bool:
        return (self._until or self._deadline).remaining() >= LEAST_SECONDS
