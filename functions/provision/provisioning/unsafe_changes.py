"""What a change of a live connector would lose or write twice. Pure: what was found comes from `plan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provisioning.request import Request
    from provisioning.resources.ledger import LedgerFound
    from provisioning.resources.settings_record import Recorded

EXACTLY_ONCE = "exactly-once"
HELD = (
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
"""Settings that stay as long as a claim is pending: its end is looked for where they say."""


@dataclass(frozen=True, slots=True)
class Before:
    """The connector as it was last applied: its record, its ledger, whether its stream runs, what its group read."""

    recorded: Recorded | None
    ledger: LedgerFound | None
    running: bool
    committed: Mapping[int, int]

    def had(self, setting: str) -> object:
        """A setting as it was applied, None where it wasn't."""
        return None if self.recorded is None else self.recorded.settings.get(setting)

    @property
    def pending(self) -> int:
        """How many claims are pending."""
        return 0 if self.ledger is None or self.ledger.state is None else len(self.ledger.state.pending)


def changed(request: Request, before: Before) -> tuple[str, ...]:
    """The settings that were others, of those that matter to what is under way."""
    if before.recorded is None:
        return ()
    return tuple(name for name in HELD if before.had(name) not in {None, getattr(request.settings, name)})


def faults(request: Request, before: Before) -> Iterator[str]:
    """What is refused whatever is accepted."""
    settings, others = request.settings, changed(request, before)
    if before.pending:
        wait = "pause the stream, let status bring them to their end, then change it"
        for name in others:
            change = f"{name}: {before.had(name)} can't become {getattr(settings, name)}"
            yield f"{change} while {before.pending} claims are pending in topic {before.had('offset_topic')}; {wait}"
    if before.had("delivery") == settings.delivery == EXACTLY_ONCE:
        if before.ledger is None:
            topic = before.had("offset_topic")
            remedy = "run audit, then reset with the offset of each topic-partition from which records aren't written"
            yield f"the ledger in topic {topic} is gone, and with it what is known of what is written; {remedy}"
        if "offset_topic" in others and "group" not in others:
            found = f"offset_topic: {settings.offset_topic} knows nothing of what {settings.group} has delivered"
            yield f"{found}, so that would be written twice; keep {before.had('offset_topic')}, or change group as well"
    if request.start and before.running:
        yield "start: the stream is running; pause it first (with a trigger, deploy it with STREAM_ENABLED=false)"


def risks(request: Request, before: Before) -> Iterator[tuple[str, str]]:
    """Each change that is refused unless its risk is accepted: the risk's name, and the setting that takes the risk."""
    settings, others = request.settings, changed(request, before)
    elsewhere = {number: offset for number, offset in request.start.items() if before.committed.get(number) != offset}
    if request.start:
        if elsewhere and before.committed and settings.delivery != EXACTLY_ONCE:
            has = f"group {settings.group} has come to {_told(before.committed)} already"
            yield "again", f"start: {has}, and there's no ledger"
        return
    if "group" in others and settings.consumer_offset == "latest":
        yield "latest", f"group: {settings.group} begins at the latest offsets"
    elif "group" in others and (settings.delivery != EXACTLY_ONCE or "offset_topic" in others):
        yield "again", f"group: {settings.group} begins at the earliest offsets, and no ledger knows what is written"


def _told(committed: Mapping[int, int]) -> str:
    return ", ".join(f"{number}: {offset}" for number, offset in sorted(committed.items()))
