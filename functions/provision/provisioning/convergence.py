"""Brings one resource to its wanted state, or removes one, whatever earlier invocations requested.

It reads the state, sends a request for the differences, and reads again, until there is no difference. The answer to a
request doesn't decide: an error of a create may mean that the resource exists already, because an answer was lost or
somebody else created it. So two invocations at once, or one that was killed and called again, end in the same state.
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
    """The turns of reading and requesting for one resource.

    `requested` has the error, or None, that answered the first request of each step; `last` is the last turn's step.
    """

    resource: Resource[StateT]
    cloud: Cloud
    manual: bool
    state: StateT | None
    requested: dict[str, BatchError | None] = field(default_factory=dict)
    last: Step | None = None

    def take(self) -> bool:
        """Read the state and send the request that follows; return True when nothing is left to do."""
        if self.last is not None:
            self.state = self.resource.look(self.cloud)
        self.last = current = step(self.resource, self.state, manual=self.manual)
        if current.do == "blocked":
            raise RefusedError(f"{current.resource.title}: {'; '.join(current.why)}", code="Blocked")
        if current.do in {"create", "change"}:
            self._request(current)
        return current.do == "keep"

    def _request(self, current: Step) -> None:
        """Request a step once; if the step is needed again, raise the error that answered the first request."""
        if current.do in self.requested:
            error = self.requested[current.do]
            if error is not None:
                raise error
            failed = [str(difference) for difference in current.differences if difference.remedy == "restart"]
            if failed:
                raise RefusedError(f"{current.resource.title} doesn't start: {'; '.join(failed)}", code="NotStarted")
            return
        try:
            if self.state is None:
                self.resource.make(self.cloud)
            else:
                self.resource.change(self.cloud, self.state)
        except BatchError as error:
            self.requested[current.do] = error
        else:
            self.requested[current.do] = None


def converge(resource: Resource[StateT], cloud: Cloud, state: StateT | None, *, manual: bool) -> None:
    """Bring a resource, last read in `state`, to its wanted state.

    Raises `RefusedError` if the step is blocked or refused, `UnavailableError` or `DeadlineError` if time runs out.
    """
    turns = _Turns(resource, cloud, manual, state)
    _repeat(turns.take, cloud, lambda: f"{resource.title}: {_remaining(turns.last)}; call again, it goes on from here")


def dissolve(resource: AnyResource, cloud: Cloud) -> bool:
    """Remove a resource and wait until it's gone; return whether it existed. Raises what `converge` raises."""
    if resource.look(cloud) is None:
        return False
    resource.remove(cloud)
    remaining = f"{resource.title} still exists, or came back; call again"
    _repeat(lambda: resource.look(cloud) is None, cloud, lambda: remaining)
    return True


def until_true(look: Callable[[], bool], cloud: Cloud, otherwise: str) -> None:
    """Call `look` until it returns True. Raises `UnavailableError` with the message `otherwise` if time runs out."""
    _repeat(look, cloud, lambda: otherwise)


def _repeat(turn: Callable[[], bool], cloud: Cloud, otherwise: Callable[[], str]) -> None:
    pauses = wait_exponential(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) + wait_random(0, JITTER_SECONDS)
    waiting = Retrying(
        retry=retry_if_result(lambda done: not done),
        wait=wait_chain(wait_none(), pauses),  # most requests have taken effect when their answer comes
        stop=stop_before_delay(cloud.deadline.within(PATIENCE_SECONDS).remaining()),
    )
    try:
        waiting(turn)
    except RetryError:
        raise UnavailableError(otherwise()) from None


def _remaining(last: Step | None) -> str:
    if last is None or last.do == "create":
        return "requested, but it doesn't exist yet"
    return "; ".join(map(str, last.differences))
