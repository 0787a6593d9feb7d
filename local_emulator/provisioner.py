"""The provisioning function, used as its users do: before it is deployed with their own keys, then by invocations."""

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
    from local_emulator.function_compute.instances import InstanceEnvironment
    from local_emulator.function_compute.template import Function

LONGEST_SECONDS = 600.0
"""The function's own timeout, in template.yml."""
UNDONE = frozenset({"blocked", "refused", "failed", "incomplete"})
"""States of replies to what wasn't done, or not to its end."""
_LOOK_SECONDS = 0.1
_SAID = {"create": "created", "change": "changed", "wait": "ready"}


class ProvisioningError(Exception):
    """The provisioning function didn't do what it was asked for."""


def bootstrap(function: Function, surroundings: InstanceEnvironment) -> dict[str, Any]:
    """What `make bootstrap` does: the function's code with the owner's keys, for it has no role yet; the reply.

    ProvisioningError with every fault, where not all of it could be done.
    """
    instance = FunctionInstance(function, surroundings)
    try:
        outcome = instance.invoke(b'{"action": "bootstrap"}', new_request_id())
    finally:
        instance.kill()
    if outcome.error_type:
        raise ProvisioningError(f"bootstrap failed: {json.loads(outcome.body).get('errorMessage')}")
    reply = _object(outcome.body)
    if faults := reply.get("faults"):
        raise ProvisioningError(f"bootstrap has {len(faults)} fault(s):" + "".join(f"\n  - {one}" for one in faults))
    return reply


def invoke(at: Endpoints, event: Mapping[str, Any]) -> dict[str, Any]:
    """The running cloud's provisioning function's reply to an event; InvocationError where there is none."""
    invoker = Invoker(
        at.functions,
        at.provisioner,
        access_key_id=at.access_id,
        access_key_secret=at.access_key,
        function_timeout=LONGEST_SECONDS,
    )
    return _object(invoker(json.dumps(event).encode()))


def undone(reply: Mapping[str, Any]) -> bool:
    """Whether a reply says that something stood against what was asked for."""
    return bool(reply.get("faults")) or reply.get("state") in UNDONE


@contextmanager
def following(at: Endpoints, show: Callable[[str], None]) -> Iterator[None]:
    """Show each resource when the function's log says that it is done, while the block lasts."""
    log = installation.logs() / f"{at.provisioner}.log"
    begun = log.stat().st_size if log.exists() else 0
    ended = threading.Event()

    def follow() -> None:
        place, last = begun, False
        while not last:
            last = ended.wait(_LOOK_SECONDS)
            place = _show_done(log, place, show)

    thread = threading.Thread(target=follow, name="provisioning-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show_done(log: Path, place: int, show: Callable[[str], None]) -> int:
    """Show what the log's whole lines from `place` on tell; where they end."""
    if not log.exists():
        return place
    with log.open("rb") as file:
        file.seek(place)
        lines, _, _ = file.read().rpartition(b"\n")
    for line in lines.splitlines():
        if b'"resource done"' in line:
            told = json.loads(line)
            show(f"{told['resource']}: {_SAID.get(told['do'], told['do'])}")
    return place + len(lines) + (1 if lines else 0)


def _object(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    if not isinstance(found, dict):
        raise InvocationError(f"expected a reply that is a JSON object, found {type(found).__name__}", retryable=False)
    return found
