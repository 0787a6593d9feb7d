"""`python -m deployment`: what the Makefile and the templates do around a deployment with Serverless Devs.

    python -m deployment check [TEMPLATE]      reports misspelt variables of the shell and of .env
    python -m deployment run -- COMMAND ...    runs a command with the variables of .env, as Serverless Devs reads them

Only Python's standard library is needed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from deployment import variables
from deployment.dotenv import VariablesFileError

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
    variables.check(options.template, os.environ)
    return 0


def _run(options: argparse.Namespace) -> int:
    template = Path("template.yml")
    variables.check(template, os.environ)
    os.execvpe(options.command[0], options.command, variables.environment(template, os.environ))  # noqa: S606 # the user's


if __name__ == "__main__":
    sys.exit(main())
