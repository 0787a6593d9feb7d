"""Which generation of the ledger a dead letter belongs to.

A reset can start a topic-partition's offsets again: because its topic was created again, or because its records are to
be written again. Dead letters and rows from before the reset stay. A letter has its generation, except letters of
earlier releases; a row has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
    from kafka_maxcompute.ledger.state import State

Era: TypeAlias = Literal["now", "before", "unknown"]
"""Whether a letter was written since the last reset of its offset, before that reset, or in an unknown generation."""


def era(letter: DeadLetter, state: State | None) -> Era:
    """Return the era of a letter that names its record's place; `state` is None without a ledger."""
    place = letter.topic or "", -1 if letter.partition is None else letter.partition
    start = None if state is None else state.starts.get(place)
    if state is None or start is None or letter.offset is None or letter.offset < start:
        return "now"
    first_generation = state.begun.get(place)
    if first_generation is None or letter.generation is None:
        return "unknown"
    return "now" if letter.generation >= first_generation else "before"
