"""Changes of a live connector that would lose records or write them twice. Pure: `plan` passes the facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provisioning.request import Request
    from provisioning.resources.ledger import ObservedLedger
    from provisioning.resources.settings_record import Recorded

EXACTLY_ONCE = "exactly-once"
FIXED_WHILE_PENDING = (
    "instance_id",
    "source_topic",
    "project",
    "table",
    "partition",
    "partition_names",
    "partition_column",
    "time_zone",
    "mode",
    "format",
    "delivery",
    "group",
    "offset_topic",
)
"""Settings that can't change while a claim is pending: they say where the claim's outcome is found."""


@dataclass(frozen=True, slots=True)
class Before:
    """The connector as it was last applied: settings record, ledger, whether its stream runs, the group's offsets."""

    recorded: Recorded | None
    ledger: ObservedLedger | None
    running: bool
    committed: Mapping[int, int]

    def applied(self, setting: str) -> object:
        """Return the value of a setting that was last applied, None if there is none."""
        return None if self.recorded is None else self.recorded.settings.get(setting)

    @property
    def pending(self) -> int:
        """Return the number of pending claims."""
        return 0 if self.ledger is None or self.ledger.state is None else len(self.ledger.state.pending)


def changed(request: Request, before: Before) -> tuple[str, ...]:
    """Return the names of the settings of `FIXED_WHILE_PENDING` that the request changes."""
    if before.recorded is None:
        return ()
    return tuple(
        name for name in FIXED_WHILE_PENDING if before.applied(name) not in {None, getattr(request.settings, name)}
    )


def faults(request: Request, before: Before) -> Iterator[str]:
    """Yield the faults that no accepted risk lifts."""
    settings, changes = request.settings, changed(request, before)
    if before.pending:
        wait = "pause the stream, call status until no claim is pending, then change it"
        for name in changes:
            change = f"{name}: {before.applied(name)} can't become {getattr(settings, name)}"
            pending = f"{before.pending} claims are pending in topic {before.applied('offset_topic')}"
            yield f"{change} while {pending}; {wait}"
    if before.applied("delivery") == settings.delivery == EXACTLY_ONCE:
        if before.ledger is None:
            topic = before.applied("offset_topic")
            remedy = "run audit, then reset with the offset of each topic-partition from which records aren't written"
            yield f"the ledger in topic {topic} is gone, and nothing else knows which records are written; {remedy}"
        if "offset_topic" in changes and "group" not in changes:
            unknown = f"offset_topic: {settings.offset_topic} doesn't have the records that {settings.group} delivered"
            remedy = f"keep {before.applied('offset_topic')}, or change group as well"
            yield f"{unknown}, so they would be written twice; {remedy}"
    if request.start and before.running:
        yield "start: the stream is running; pause it first (with a trigger, deploy it with STREAM_ENABLED=false)"


def risks(request: Request, before: Before) -> Iterator[tuple[str, str]]:
    """Yield each change that needs an accepted risk: the risk's name, and the setting that takes the risk."""
    settings, changes = request.settings, changed(request, before)
    elsewhere = {number: offset for number, offset in request.start.items() if before.committed.get(number) != offset}
    if request.start:
        if elsewhere and before.committed and settings.delivery != EXACTLY_ONCE:
            has = f"group {settings.group} has committed {_listed(before.committed)} already"
            yield "again", f"start: {has}, and there's no ledger"
        return
    if "group" in changes and settings.consumer_offset == "latest":
        yield "latest", f"group: {settings.group} begins at the latest offsets"
    elif "group" in changes and (settings.delivery != EXACTLY_ONCE or "offset_topic" in changes):
        yield "again", f"group: {settings.group} begins at the earliest offsets, and no ledger has the written records"


def _listed(committed: Mapping[int, int]) -> str:
    return ", ".join(f"{number}: {offset}" for number, offset in sorted(committed.items()))
