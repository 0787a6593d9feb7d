"""Parses arguments that argparse alone would misread: texts that begin with a minus sign, JSON after options."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TEXTS = {"send": ("--key", "--value"), "fault": ("--message",)}
"""By command: options whose value may be any text."""
OPTIONS = frozenset(
    {
        "--connector",
        *("--topic", "--key", "--value", "--header", "--timestamp", "--partition", "--lines", "--json-lines", "--file"),
        *("--key-field", "--skip-bad", "--rate", "--orders", "--json", "-h", "--help"),
    }
)
"""Options that are never the text of the option before them. As a text, each has to be written as --value=--key."""


class WrongArgumentsError(SystemExit):
    """The command ends with the exit code 2; `message`, which standard error has, says why."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message


class CommandParser(argparse.ArgumentParser):
    """A parser of a command's arguments, with the option that all commands have."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False, conflict_handler="resolve")
        # A command of a command would replace a given option by its own default.
        self.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print the result as JSON on standard output, and everything else on standard error",
        )

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message on standard error; raise WrongArgumentsError."""
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: error: {message}\n")
        raise WrongArgumentsError(message)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed options; a text may begin with a minus sign, and the JSON of `provision` may follow options."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = parser.parse_known_args(list(_joined(given)))
    if options.command == "provision" and options.event is None and len(rest) == 1 and not rest[0].startswith("-"):
        options.event = rest.pop()
    for option in TEXTS.get(options.command, ()):
        if getattr(options, name := option.lstrip("-"), None) == []:
            setattr(options, name, "--")  # argparse drops a text "--"
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _joined(given: list[str]) -> Iterator[str]:
    """Yield the arguments; join an option and its text if the text begins with a minus sign, as argparse demands."""
    texts = TEXTS.get(given[0], ()) if given else ()
    rest = iter(given)
    for argument in rest:
        if argument not in texts:
            yield argument
            continue
        text = next(rest, None)
        if text is None or not text.startswith("-") or text.partition("=")[0] in OPTIONS:
            yield from (argument,) if text is None else (argument, text)
        else:
            yield f"{argument}={text}"
