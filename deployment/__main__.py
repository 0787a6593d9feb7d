"""`python -m deployment`: what the Makefile and the templates do around a deployment with Serverless Devs.

    python -m deployment check [TEMPLATE]      reports misspelt and wrong variables of the shell and of .env
    python -m deployment run -- COMMAND ...    runs a command with the variables of .env, as Serverless Devs reads them

Only Python's standard library is needed.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "layers/connector/python"), str(ROOT / "layers/powertools/python")]

from deployment import values, variables  # noqa: E402 # the settings' rules are in a layer
from deployment.dotenv import VariablesFileError  # noqa: E402

FAILURES = (variables.VariablesError, VariablesFileError, OSError)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except FAILURES as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployment", description="Deploy with Serverless Devs.")
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("check", help="report misspelt variables of the shell and of .env")
    check.add_argument("template", nargs="?", type=Path, default=Path("template.yml"))
    check.set_defaults(run=_check)
    run = commands.add_parser("run", help="run a command with the variables of .env")
    run.add_argument("command", nargs="+")
    run.set_defaults(run=_run)
    return parser


def _check(options: argparse.Namespace) -> int:
    environment = _checked(options.template)
    if faults := list(values.incomplete(environment)):
        raise variables.VariablesError(_wrong(faults))
    return 0


def _run(options: argparse.Namespace) -> int:
    environment = _checked(Path("template.yml"))
    os.execvpe(options.command[0], options.command, environment)  # noqa: S606 # the Makefile's


def _checked(template: Path) -> dict[str, str]:
    """Return the variables for a template; raises VariablesError or VariablesFileError if one is wrong."""
    variables.check(template, os.environ)
    environment = variables.environment(template, os.environ)
    if faults := list(values.faults(environment, partial(variables.place, template, os.environ))):
        raise variables.VariablesError(_wrong(faults))
    return environment


def _wrong(faults: list[str]) -> str:
    listed = "".join(f"\n  - {fault}" for fault in faults)
    return f"wrong values:{listed}\nCorrect them; nothing was changed."


if __name__ == "__main__":
    sys.exit(main())
