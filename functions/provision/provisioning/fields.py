"""Which fields of an event each action takes, and what is said of one that would have no effect. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.settings.setting import SHOWN_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_UNKNOWN = 20
"""Fields of an event without effect that are named one by one."""

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
        "reset": (*_STREAM, "start", "start_timestamp", "same_topic", "confirm"),
        "redrive": ("dry_run", "letters"),
        "audit": (),
    }.items()
}
"""The fields by action. `resume` starts what was applied, so it takes nothing that only an apply would do."""
KNOWN = tuple(dict.fromkeys(name for taken in TAKEN.values() for name in taken))
"""Every field that some action takes."""


def without_effect(given: Mapping[str, Any]) -> Iterator[str]:
    """What is said of fields that the event's action doesn't know; of the first few of very many."""
    action = str(given.get("action")).lower()
    taken = TAKEN.get(action)
    known = taken or KNOWN
    others = [name for name in given if name not in known]
    if not others:
        return
    takes = f"{action if taken else 'an event'} takes {', '.join(known)}"
    if len(others) > MOST_UNKNOWN:
        yield f"found {len(others)} fields without effect; {takes}"
    for name in others[:MOST_UNKNOWN]:
        what = f"{action} doesn't take it" if name in KNOWN else "no such field"
        close = [] if name in KNOWN else get_close_matches(name[:SHOWN_CHARACTERS], known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        yield f"{name[:SHOWN_CHARACTERS]}: {what}; {hint}{takes}"


def at_odds(values: Mapping[str, Any], *, foreign: bool) -> Iterator[str]:
    """What is said of fields that have no effect beside others; a `foreign` stream is made by hand, as they say."""
    if values.get("stream") != "event_stream" and not foreign:
        remedy = "of a trigger it stands in template.yml; leave it out, or give stream event_stream"
        yield from (f"{name}: it is of an event stream; {remedy}" for name in _WINDOW if name in values)
    if values.get("probe"):
        remedy = "the probe has records of its own; leave it out, or leave probe out"
        yield from (f"{name}: it is of the test message; {remedy}" for name in ("key", "value") if name in values)
