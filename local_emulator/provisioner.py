"""Uses the provisioning function as its users do: `bootstrap` with the owner's keys, then invocations."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from local_emulator.eventbridge.errors import InvocationError
from local_emulator.eventbridge.invocation import Invoker
from local_emulator.foundation import installation
from local_emulator.function_compute.instances import FunctionInstance, new_request_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from local_emulator.endpoints import Endpoints
    from local_emulator.function_compute.surroundings import InstanceEnvironment
    from local_emulator.function_compute.template import Function

LONGEST_SECONDS = 600.0
"""The function's own timeout, in template.yml."""
FAILED_STATES = frozenset({"blocked", "refused", "failed", "incomplete"})
"""States of replies to an action that wasn't done, or not completely."""
_LOOK_SECONDS = 0.1
_PAST = {"create": "created", "change": "changed", "wait": "ready"}


class ProvisioningError(Exception):
    """The provisioning function didn't do the requested action, or the request is wrong."""


def bootstrap(function: Function, environment: InstanceEnvironment) -> dict[str, Any]:
    """Run the function's code with the owner's keys, as `make bootstrap` does, and return the reply.

    The function's own role doesn't exist yet. Raises ProvisioningError with every fault of the reply.
    """
    instance = FunctionInstance(function, environment)
    try:
        outcome = instance.invoke(b'{"action": "bootstrap"}', new_request_id())
    finally:
        instance.kill()
    if outcome.error_type:
        raise ProvisioningError(f"bootstrap failed: {json.loads(outcome.body).get('errorMessage')}")
    reply = _object(outcome.body)
    if faults := reply.get("faults"):
        raise ProvisioningError(f"bootstrap has {len(faults)} fault(s):" + "".join(f"\n  - {text}" for text in faults))
    return reply


def invoke(at: Endpoints, event: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke the running cloud's provisioning function and return its reply; InvocationError if there is none.

    The settings of a connector other than the provisioning function's own are added to the event.
    """
    if at.settings:
        event = {**event, "settings": {**at.settings, **event.get("settings", {})}}
    invoker = Invoker(
        at.functions,
        at.provisioner,
        access_key_id=at.access_id,
        access_key_secret=at.access_key,
        function_timeout=LONGEST_SECONDS,
    )
    return _object(invoker(json.dumps(event).encode()).body)


def has_failed(reply: Mapping[str, Any]) -> bool:
    """Whether a reply reports faults, or an action that wasn't done completely."""
    return bool(reply.get("faults")) or reply.get("state") in FAILED_STATES


@contextmanager
def progress(at: Endpoints, show: Callable[[str], None]) -> Iterator[None]:
    """During the `with`, show each resource as soon as the function's log reports that it is done."""
    log = installation.logs() / f"{at.provisioner}.log"
    begun = log.stat().st_size if log.exists() else 0
    ended = threading.Event()

    def follow() -> None:
        position, last = begun, False
        while not last:
            last = ended.wait(_LOOK_SECONDS)
            position = _show_done(log, position, show)

    thread = threading.Thread(target=follow, name="provisioning-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show_done(log: Path, position: int, show: Callable[[str], None]) -> int:
    """Show the resources that whole lines of the log after `position` report as done; return these lines' end."""
    if not log.exists():
        return position
    with log.open("rb") as file:
        file.seek(position)
        lines, _, _ = file.read().rpartition(b"\n")
    for line in lines.splitlines():
        if b'"resource done"' in line:
            step = json.loads(line)
            show(f"{step['resource']}: {_PAST.get(step['do'], step['do'])}")
    return position + len(lines) + (1 if lines else 0)


def _object(body: bytes) -> dict[str, Any]:
    reply = json.loads(body)
    if not isinstance(reply, dict):
        raise InvocationError(f"expected a reply that is a JSON object, found {type(reply).__name__}", retryable=False)
    return reply
