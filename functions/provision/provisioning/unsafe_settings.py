"""Settings that lose data, refused with the reason; some are allowed if the event accepts the risk. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioning.request import RISKS
from provisioning.resources.event_stream import EventStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provisioning.preflight_facts import Facts
    from provisioning.request import Request
    from provisioning.step import Step

LONGEST_TIMEOUT = 300
"""Seconds after which a stream gives up a delivery, whatever the function's timeout is."""


def refusals(
    request: Request, facts: Facts, steps: Sequence[Step], more: Iterable[tuple[str, str]] = ()
) -> tuple[str, ...]:
    """Return every refusal, except for risks that the request accepts.

    `more` are further risks: the risk's name, and the setting that takes the risk.
    """
    return (
        *_always_refused(request, facts),
        *(
            f"{setting}; {RISKS[risk]}; fix it, or accept the risk {risk!r}"
            for risk, setting in (*_risks(request, facts, steps), *more)
            if risk not in request.accepted
        ),
    )


def _always_refused(request: Request, facts: Facts) -> Iterator[str]:
    """Yield the refusals that no accepted risk lifts."""
    value_type = request.settings.value_type
    if request.stream == "trigger" and value_type != "Text":
        conflict = f"value_type is {value_type}, but a trigger's stream delivers Text and has no field for another type"
        yield f"{conflict}; use stream event_stream, or value_type Text"
    if facts.other_stream:
        other = "an event stream" if request.stream == "trigger" else f"the trigger {request.trigger}"
        remedy = "destroy it" if request.stream == "trigger" else "switch it off"
        yield f"{other} feeds {request.function} already, and each record would be written twice; {remedy} first"


def _risks(request: Request, facts: Facts, steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Yield each risk that the request takes: the risk's name, and the setting that takes the risk."""
    settings = request.settings
    timeout = int(facts.function.get("timeout") or 0)
    if timeout > LONGEST_TIMEOUT:
        yield "timeout", f"function {request.function} has a timeout of {timeout} s"
    is_text = settings.mode != "KEY" and settings.value_type == "Text"
    if settings.format == "BINARY" and is_text and not settings.bootstrap_servers:
        yield "bytes", "format is BINARY, value_type is Text, and bootstrap_servers isn't set"
    created = request.stream == "event_stream" and any(
        step.do == "create" and isinstance(step.resource, EventStream) for step in steps
    )
    if created and settings.consumer_offset == "latest" and facts.lag:
        yield "latest", f"consumer_offset is latest, and {facts.lag} records of {settings.group} aren't read yet"
