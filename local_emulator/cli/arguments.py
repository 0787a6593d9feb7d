"""Arguments that argparse would take for something else than they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

TEXTS = {"send": ("--key", "--value"), "fault": ("--message",)}
"""Options whose value is any text, by command."""
OPTIONS = frozenset({"--key", "--value", "--partition", "--orders", "-h", "--help"})
"""Options that may follow where such a text was forgotten; as a text each can still be given as --value=--key."""


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; a text may begin with a minus sign, and the JSON of `provision` may follow its options."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = parser.parse_known_args(list(_joined(given)))
    if options.command == "provision" and options.event is None and len(rest) == 1 and not rest[0].startswith("-"):
        options.event = rest.pop()
    for option in TEXTS.get(options.command, ()):
        if getattr(options, name := option.lstrip("-"), None) == []:
            setattr(options, name, "--")  # which argparse leaves out
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _joined(given: list[str]) -> Iterator[str]:
    """The arguments, with an option and a text that begins with a minus sign as one: argparse sees no option in it."""
    texts = TEXTS.get(given[0], ()) if given else ()
    rest = iter(given)
    for one in rest:
        if one not in texts:
            yield one
            continue
        text = next(rest, None)
        if text is None or not text.startswith("-") or text.partition("=")[0] in OPTIONS:
            yield from (one,) if text is None else (one, text)
        else:
            yield f"{one}={text}"
