"""Context, credentials, deadline, log fields and metrics around a function, by one decorator.

    @invocation(namespace="orders", limit_seconds=EVENTBRIDGE_LIMIT_SECONDS)
    def handler(event: bytes, invocation: Invocation) -> bytes: ...

    @hook(namespace="orders")
    def initialize(invocation: Invocation) -> None: ...

Function Compute calls the decorated function with its own context: `handler(event, context)`, `initialize(context)`.
While it runs, log lines carry the request id and the function's name (and `cold_start` in an instance's first call);
when it ends, also by an exception, the metrics are written and the log fields dropped. An exception is logged once, as
fields, and goes on to the runtime.
Decorated functions can call one another: a function that is given an `Invocation` takes part in it.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from fc_powertools import credentials as role
from fc_powertools import logger
from fc_powertools.context import Context
from fc_powertools.deadline import Deadline
from fc_powertools.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fc_powertools.credentials import Credentials

Result = TypeVar("Result")

_log = logging.getLogger(__name__)
_openings = itertools.count()


@dataclass(frozen=True, slots=True)
class Invocation:
    """The tools of a function during one invocation; `cold_start` marks the instance's first invocation."""

    context: Context
    deadline: Deadline
    metrics: Metrics
    cold_start: bool
    environment: Mapping[str, str] = field(repr=False)  # it can hold keys

    @property
    def credentials(self) -> Credentials:
        """The keys for this invocation, read at each access; raises `CredentialsError` if there are none."""
        return role.from_invocation(self.context, self.environment)


@contextmanager
def opened(
    context: object,
    *,
    namespace: str = "function",
    limit_seconds: float | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Invocation]:
    """Open one invocation as a block, for functions without a decorator.

    `context` is the runtime's own, or an open `Invocation`, which is used as it is. `namespace` is the metrics'
    namespace; `limit_seconds` is how long the caller waits, if this can be less than the function's timeout.
    """
    if isinstance(context, Invocation):
        yield context
        return
    view = Context.of(context)
    current = Invocation(
        context=view,
        deadline=Deadline.of_invocation(view, limit_seconds=limit_seconds),
        metrics=Metrics(namespace),
        cold_start=next(_openings) == 0,
        environment=environment,
    )
    fields = {"request_id": view.request_id, "function": view.function.name, "cold_start": current.cold_start or None}
    with logger.bound(**{name: value for name, value in fields.items() if value is not None}):
        try:
            yield current
        except Exception:
            _log.exception("invocation failed")
            raise
        finally:
            current.metrics.flush()


def invocation(
    *, namespace: str = "function", limit_seconds: float | None = None
) -> Callable[[Callable[[bytes, Invocation], Result]], Callable[[bytes, object], Result]]:
    """Decorate a handler; the arguments are those of `opened`."""

    def decorate(handler: Callable[[bytes, Invocation], Result]) -> Callable[[bytes, object], Result]:
        @functools.wraps(handler)
        def called(event: bytes, context: object) -> Result:
            with opened(context, namespace=namespace, limit_seconds=limit_seconds) as current:
                return handler(event, current)

        return called

    return decorate


def hook(
    *, namespace: str = "function", limit_seconds: float | None = None
) -> Callable[[Callable[[Invocation], Result]], Callable[[object], Result]]:
    """Decorate an initializer or a pre-stop hook; the arguments are those of `opened`."""

    def decorate(handler: Callable[[Invocation], Result]) -> Callable[[object], Result]:
        @functools.wraps(handler)
        def called(context: object) -> Result:
            with opened(context, namespace=namespace, limit_seconds=limit_seconds) as current:
                return handler(current)

        return called

    return decorate
