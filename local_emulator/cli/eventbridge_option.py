"""The option --eventbridge of `up`: the emulated EventBridge's behaviour where no source settles the service's."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace

import msgspec

from local_emulator.control_plane.eventbridge.assumptions import EventBridgeAssumptions

NAMES = tuple(sorted(field.name for field in fields(EventBridgeAssumptions)))


class Choose(argparse.Action):
    """Collects NAME=VALUE arguments into one `EventBridgeAssumptions`; a repeated name's last value counts."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Add one argument; a wrong one ends the program with the parser's error."""
        name, equals, value = str(values).partition("=")
        if not equals or name not in NAMES:
            parser.error(f"{option_string}: expected NAME=VALUE with a NAME of {', '.join(NAMES)}; found {values!r}")
        try:
            chosen = msgspec.convert({name: value}, EventBridgeAssumptions, strict=False)
        except msgspec.ValidationError as error:
            parser.error(f"{option_string} {name}: {error}; found {value!r}")
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, replace(before, **{name: getattr(chosen, name)}))


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--eventbridge",
        action=Choose,
        default=EventBridgeAssumptions(),
        metavar="NAME=VALUE",
        help=f"choose a behaviour of the event stream (repeatable): {', '.join(NAMES)}; see docs/EMULATOR.md",
    )
