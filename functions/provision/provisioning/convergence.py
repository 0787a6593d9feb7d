"""Bringing one resource to what is wanted, and taking one away, whatever has been asked for before.

Look, act on what differs, look again, until nothing differs. What an action answers doesn't decide: an error of a
create may mean that it's there already, by a lost answer or by somebody else's doing. So two that do this at once, or
one that was killed in between, end in the same state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from tenacity import (
    RetryError,
    Retrying,
    retry_if_result,
    stop_before_delay,
    wait_chain,
    wait_exponential,
    wait_none,
    wait_random,
)

from kafka_maxcompute.errors import BatchError, RefusedError, UnavailableError
from provisioning.resource import StateT
from provisioning.step import step

if TYPE_CHECKING:
    from collections.abc import Callable

    from provisioning.cloud import Cloud
    from provisioning.resource import AnyResource, Resource
    from provisioning.step import Step

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, JITTER_SECONDS = 0.2, 5.0, 0.2
PATIENCE_SECONDS = 300.0
"""The longest wait for one resource; Terraform's provider waits as long for a topic."""


@dataclass(slots=True)
class _Turns(Generic[StateT]):
    """What has been asked for already, and the error that it was answered with."""

    resource: Resource[StateT]
    cloud: Cloud
    manual: bool
    found: StateT | None
    asked: dict[str, BatchError | None] = field(default_factory=dict)
    last: Step | None = None

    def take(self) -> bool:
        """One look and what follows from it; True when nothing is left to do."""
        if self.last is not None:
            self.found = self.resource.look(self.cloud)
        self.last = now = step(self.resource, self.found, manual=self.manual)
        if now.do == "blocked":
            raise RefusedError(f"{now.resource.title}: {'; '.join(now.why)}", code="Blocked")
        if now.do in {"create", "change"}:
            self._ask(now)
        return now.do == "keep"

    def _ask(self, now: Step) -> None:
        """Ask once for what is to be done; raises the error of the first time if that left things as they were."""
        if now.do in self.asked:
            error = self.asked[now.do]
            if error is not None:
                raise error
            failed = [str(one) for one in now.differences if one.remedy == "restart"]
            if failed:
                raise RefusedError(f"{now.resource.title} doesn't start: {'; '.join(failed)}", code="NotStarted")
            return
        try:
            if self.found is None:
                self.resource.make(self.cloud)
            else:
                self.resource.change(self.cloud, self.found)
        except BatchError as error:
            self.asked[now.do] = error
        else:
            self.asked[now.do] = None


def converge(resource: Resource[StateT], cloud: Cloud, found: StateT | None, *, manual: bool) -> None:
    """Bring a resource, last seen in the state found, to what is wanted.

    Raises `RefusedError` where it can't be, `UnavailableError` or `DeadlineError` where it isn't yet.
    """
    turns = _Turns(resource, cloud, manual, found)
    _repeated(turns.take, cloud, lambda: f"{resource.title}: {_still(turns.last)}; call again, it goes on from here")


def dissolve(resource: AnyResource, cloud: Cloud) -> bool:
    """Remove a resource and wait until it's gone; whether there was anything to remove. Raises as `converge`."""
    if resource.look(cloud) is None:
        return False
    resource.remove(cloud)
    still = f"{resource.title} is still there, or came back; call again"
    _repeated(lambda: resource.look(cloud) is None, cloud, lambda: still)
    return True


def until_true(look: Callable[[], bool], cloud: Cloud, otherwise: str) -> None:
    """Look until it's so. Raises `UnavailableError`."""
    _repeated(look, cloud, lambda: otherwise)


def _repeated(turn: Callable[[], bool], cloud: Cloud, otherwise: Callable[[], str]) -> None:
    pauses = wait_exponential(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) + wait_random(0, JITTER_SECONDS)
    waiting = Retrying(
        retry=retry_if_result(lambda done: not done),
        wait=wait_chain(wait_none(), pauses),  # most of what was asked for is there when the answer is
        stop=stop_before_delay(cloud.deadline.within(PATIENCE_SECONDS).remaining()),
    )
    try:
        waiting(turn)
    except RetryError:
        raise UnavailableError(otherwise()) from None


def _still(last: Step | None) -> str:
    if last is None or last.do == "create":
        return "asked for, and not there yet"
    return "; ".join(map(str, last.differences))
