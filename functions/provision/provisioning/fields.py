"""The fields of an event that each action takes, and the faults of fields that would have no effect. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.settings.setting import SHOWN_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_UNKNOWN = 20
"""Faults of single fields in one event; of more fields only the first have a fault each."""

_STREAM = ("stream", "function", "trigger")
_WINDOW = ("batch_records", "batch_seconds", "security_group")
_PLAN = (
    *_STREAM,
    "create_table",
    "columns",
    "accept_risk",
    "change",
    "start",
    "start_timestamp",
    *_WINDOW,
)
TAKEN: dict[str, tuple[str, ...]] = {
    action: ("action", "settings", *taken)
    for action, taken in {
        "bootstrap": (),
        "plan": _PLAN,
        "apply": _PLAN,
        "status": _PLAN,
        "test": (*_STREAM, "key", "value", "topic_partition", "wait_seconds", "probe"),
        "pause": _STREAM,
        "resume": (*_STREAM, "accept_risk", *_WINDOW),
        "destroy": (*_STREAM, "accept_risk", "confirm", "remove"),
        "reset": (*_STREAM, "start", "start_timestamp", "same_topic", "keep_settled", "confirm"),
        "letters": ("letters", "after", "limit", "payload_bytes"),
        "redrive": ("dry_run", "letters"),
        "audit": (),
    }.items()
}
"""The fields by action. `resume` starts the stream as it was applied, so it takes no field that only apply uses."""
KNOWN = tuple(dict.fromkeys(name for taken in TAKEN.values() for name in taken))
"""Every field that at least one action takes."""


def unknown(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield a fault for each field that the event's action doesn't take, at most `MOST_UNKNOWN` of them."""
    action = str(given.get("action")).lower()
    taken = TAKEN.get(action)
    known = taken or KNOWN
    without_effect = [name for name in given if name not in known]
    if not without_effect:
        return
    takes = f"{action if taken else 'an event'} takes {', '.join(known)}"
    if len(without_effect) > MOST_UNKNOWN:
        yield f"found {len(without_effect)} fields without effect; {takes}"
    for name in without_effect[:MOST_UNKNOWN]:
        what = f"{action} doesn't take it" if name in KNOWN else "no such field"
        close = [] if name in KNOWN else get_close_matches(name[:SHOWN_CHARACTERS], known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        yield f"{name[:SHOWN_CHARACTERS]}: {what}; {hint}{takes}"


def ineffective(values: Mapping[str, Any], *, foreign: bool) -> Iterator[str]:
    """Yield a fault for each field that has no effect beside another field.

    The batch window of a `foreign` stream has an effect: the instruction for the person who creates the stream has it.
    """
    if values.get("stream") != "event_stream" and not foreign:
        remedy = "template.yml has it for a trigger; leave it out, or give stream event_stream"
        yield from (f"{name}: it applies to an event stream only; {remedy}" for name in _WINDOW if name in values)
    if values.get("action") == "letters" and (selection := values.get("letters")):
        given = {"allow": selection.allow, "messages": selection.messages}
        remedy = "leave it out; letters lists the dead letters that topics have, and sends none"
        yield from (f"letters.{name}: it applies to redrive only; {remedy}" for name in given if given[name])
    if values.get("keep_settled") and values.get("same_topic"):
        yield "same_topic: it applies to the ledger, which keep_settled leaves unchanged; leave one of them out"
    if values.get("probe"):
        remedy = "the probe has records of its own; leave it out, or leave probe out"
        yield from (
            f"{name}: it applies to the test message only; {remedy}" for name in ("key", "value") if name in values
        )
