"""Which generation of the ledger a dead letter is of.

A reset can begin a topic-partition's offsets again, since its topic was deleted and created again, or for its records
to be written again. Letters and rows of before stay. A letter says its generation, but one that an earlier release has
written says none; a row never says it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
    from kafka_maxcompute.ledger.state import State

Era: TypeAlias = Literal["now", "before", "unknown"]
"""Whether a letter is of a generation since the last reset that concerns its offset, or of one before, or which of the
two isn't known."""


def era(letter: DeadLetter, state: State | None) -> Era:
    """That of a letter that says where its record is from; `state` is None without a ledger, which no reset begins."""
    place = letter.topic or "", -1 if letter.partition is None else letter.partition
    start = None if state is None else state.starts.get(place)
    if state is None or start is None or letter.offset is None or letter.offset < start:
        return "now"
    begun = state.begun.get(place)
    if begun is None or letter.generation is None:
        return "unknown"
    return "now" if letter.generation >= begun else "before"
