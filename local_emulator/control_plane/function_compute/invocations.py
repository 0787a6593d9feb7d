"""Function Compute's invocations: FC 2.0 paths for the SDK aliyun-fc2, FC 3.0 paths for the current SDK.

FC 3.0 has no services: a 2.0 path may carry any service name.
"""

from __future__ import annotations

import base64
import uuid
from functools import partial
from typing import TYPE_CHECKING

from local_emulator.control_plane.dispatch import Reply
from local_emulator.control_plane.errors import ApiError, invalid_argument
from local_emulator.control_plane.function_compute import revisions
from local_emulator.control_plane.function_compute.entities import LATEST
from local_emulator.eventbridge.invocation import MOST_SECONDS_HEADER
from local_emulator.function_compute.asynchronous import NO_CONFIGURATION, AsynchronousLimits
from local_emulator.function_compute.errors import FunctionComputeError

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call
    from local_emulator.function_compute.instances import InvocationOutcome
    from local_emulator.function_compute.runner import Revision

SYNC_BYTES = 32 * 1024 * 1024
ASYNC_BYTES = 128 * 1024
_TAIL_BYTES = 4096
_SYNC, _TAIL = "Sync", "Tail"
_INVOCATIONS = (_SYNC, "Async", "Task")  # Serverless Devs has both of the asynchronous ones
_LOGS = ("None", _TAIL)


def invoke(call: Call) -> Reply:
    """InvokeFunction, synchronous or asynchronous."""
    found, resolve = _found(call), partial(_resolve, call)
    runner, most_seconds = call.surroundings.functions.runner, _most_seconds(call)
    checksum = {"X-Fc-Code-Checksum": found.content.checksum}
    asynchronous = _word(call, "x-fc-invocation-type", _INVOCATIONS) != _SYNC
    tail = _word(call, "x-fc-log-type", _LOGS) == _TAIL
    if asynchronous and len(call.body) > ASYNC_BYTES:
        raise too_large(ASYNC_BYTES)
    try:
        if asynchronous:
            task = call.headers.get("x-fc-async-task-id") or str(uuid.uuid4())
            runner.invoke_later(resolve, call.body, call.request_id, most_seconds, limits=_asynchronous_limits(call))
            return Reply(status=202, headers={**checksum, "X-Fc-Async-Task-Id": task})
        outcome = runner.invoke(resolve, call.body, call.request_id, most_seconds)
    except FunctionComputeError as error:
        raise ApiError(error.status, error.code, error.message) from error
    return _reply(outcome, checksum, tail=tail)


def _word(call: Call, header: str, words: tuple[str, ...]) -> str:
    """Return a header's word, by default the first of these words; ApiError if it is none of them."""
    word = call.headers.get(header) or words[0]
    if word not in words:
        raise invalid_argument(f"{header}: expected {', '.join(words)}, found {word!r:.60}")
    return word


def _asynchronous_limits(call: Call) -> AsynchronousLimits:
    """Return the limits of the asynchronous configuration that the qualifier has."""
    service, _, _ = call.text("service").partition(".")
    with call.state.lock:
        config = revisions.existing(call, service=service).async_invoke.get(_qualifier(call) or LATEST, {})
    return AsynchronousLimits(
        config.get("maxAsyncRetryAttempts", NO_CONFIGURATION.retries),
        config.get("maxAsyncEventAgeInSeconds", NO_CONFIGURATION.seconds),
    )


def _qualifier(call: Call) -> str:
    """Return the qualifier, which FC 2.0's paths have after the service's name; empty without one."""
    return call.text("service").partition(".")[2] or call.text("qualifier")


def _most_seconds(call: Call) -> float | None:
    """Return the longest run that the emulated trigger allows, from the header that the event stream sends."""
    text = call.headers.get(MOST_SECONDS_HEADER)
    try:
        return None if text is None else float(text)
    except ValueError:
        raise invalid_argument(f"{MOST_SECONDS_HEADER}: expected seconds, found {text!r}") from None


def list_instances(call: Call) -> dict[str, object]:
    """ListInstances: the present instances of a function, of all its versions."""
    with call.state.lock:
        name = revisions.existing(call).name
    # Not under the state's lock: an instance that starts holds its pool's lock, and needs the state for its keys.
    status = call.surroundings.functions.runner.status().get(name)
    return {
        "instances": [
            {"instanceId": instance, "status": "Running"} for instance in (status.instances if status else ())
        ],
        "requestId": call.request_id,
    }


def too_large(limit: int) -> ApiError:
    """Return the error for a body that exceeds a limit."""
    return ApiError(400, "EntityTooLarge", f"payload size exceeds maximum allowed size ({limit} bytes)")


def _resolve(call: Call) -> Revision:
    with call.state.lock:
        return revisions.to_run(call, _found(call))


def _found(call: Call) -> revisions.Qualified:
    service, _, _ = call.text("service").partition(".")
    with call.state.lock:
        return revisions.qualified(revisions.existing(call, service=service), _qualifier(call))


def _reply(outcome: InvocationOutcome, headers: dict[str, str], *, tail: bool) -> Reply:
    headers = {
        **headers,
        "Content-Type": "application/json" if outcome.error_type else "application/octet-stream",
        "X-Fc-Instance-Id": outcome.instance_id,
        "X-Fc-Invocation-Duration": f"{outcome.milliseconds:.2f}",
        "X-Fc-Max-Memory-Usage": f"{outcome.memory:.2f}",
    }
    if outcome.error_type:
        headers["X-Fc-Error-Type"] = outcome.error_type
    if tail:
        headers["X-Fc-Log-Result"] = base64.b64encode(outcome.log[-_TAIL_BYTES:]).decode()
    return Reply(outcome.body, headers=headers)
