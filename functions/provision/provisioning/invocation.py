"""One invocation: from its event to its reply."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from fc_powertools import logger
from kafka_maxcompute.control.control_plane import ControlPlane
from kafka_maxcompute.errors import BatchError, ConfigurationError
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.settings.destinations import Destinations
from provisioning.actions import ACTIONS
from provisioning.cloud import Cloud
from provisioning.operations import GET_CALLER_IDENTITY
from provisioning.request import read
from provisioning.status_report import report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fc_powertools import Invocation
    from provisioning.request import Request

REPLY_SECONDS = 1.0
"""The part of the invocation's time that is reserved for the reply."""


def answer(event: bytes, invocation: Invocation) -> dict[str, Any]:
    """Do the event's action; the reply has the faults of the event, or the error that ended the action."""
    try:
        request = read(event, invocation.environment)
    except ConfigurationError as error:
        return {"state": "refused", "faults": list(error.faults)}
    logger.bind(connector=request.settings.name, action=request.action)
    reply: dict[str, Any] = {"action": request.action, "connector": request.settings.name}
    try:
        with opened(request, invocation) as cloud:
            done = ACTIONS[request.action](cloud)
            report(cloud, done)
    except BatchError as error:
        return {**reply, "state": "incomplete" if error.retryable else "failed", "faults": [str(error)]}
    return {**reply, "account": cloud.account, **done}


@contextmanager
def opened(request: Request, invocation: Invocation) -> Iterator[Cloud]:
    """Yield the access to the cloud with the keys of this invocation, and close it afterwards.

    Raises a `BatchError` if the account can't be determined.
    """
    settings, deadline = request.settings, invocation.deadline.earlier(REPLY_SECONDS)
    names = {
        "region": settings.region,
        "role": settings.role,
        "instance": settings.instance_id,
        "stream": request.stream_name,
        "function": request.function,
        "trigger": request.trigger,
    }
    destinations = Destinations.of(invocation.environment)
    control = ControlPlane(settings.region, invocation.credentials, deadline, names, destinations.control)
    account = str(control.call(GET_CALLER_IDENTITY)["AccountId"])
    cloud = Cloud(
        request=request,
        account=account,
        control=control.knowing(account=account),
        maxcompute=Service(destinations.service(settings.endpoint), settings.project, invocation.credentials),
        deadline=deadline,
        environment=invocation.environment,
    )
    with closing(cloud):
        yield cloud
