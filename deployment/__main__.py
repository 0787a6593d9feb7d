"""`python -m deployment`: what the Makefile and the templates do around a deployment with Serverless Devs.

    python -m deployment check [TEMPLATE]      reports misspelt and wrong variables of the shell and of .env
    python -m deployment run -- COMMAND ...    runs a command with the variables of .env, as Serverless Devs reads them
    python -m deployment deploy                publishes the layers that have changed, and deploys the functions
    python -m deployment remove                removes the functions

`check` and `run` need only Python's standard library: Serverless Devs runs `check` with whatever Python there is.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):  # noqa: UP036 # Serverless Devs runs this with whatever Python there is
    sys.exit("Python 3.10 or newer is needed to check the variables, in .venv (made by make) or as python3")

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployment.release import Release

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "layers/connector/python"), str(ROOT / "layers/powertools/python")]

from deployment import values, variables  # noqa: E402 # the settings' rules are in a layer
from deployment.dotenv import VariablesFileError  # noqa: E402

INTERRUPTED = 130
FAILURES = (variables.VariablesError, VariablesFileError, OSError)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except FAILURES as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployment", description="Deploy with Serverless Devs.")
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("check", help="report misspelt variables of the shell and of .env")
    check.add_argument("template", nargs="?", type=Path, default=Path("template.yml"))
    check.set_defaults(run=_check)
    run = commands.add_parser("run", help="run a command with the variables of .env")
    run.add_argument("command", nargs="+")
    run.set_defaults(run=_run)
    for name, what in (
        ("deploy", "publish changed layers, and deploy the functions"),
        ("remove", "remove the functions"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("-t", "--template", type=Path, default=Path("template.yml"))
        command.add_argument("-y", "--yes", action="store_true", help="don't ask")
        command.add_argument("--only", default="", help="one resource of the template, such as sink")
        command.add_argument("--access", default="", help="the alias of the keys that Serverless Devs uses")
        command.set_defaults(run=_deploy if name == "deploy" else _remove)
    return parser


def _deploy(options: argparse.Namespace) -> int:
    return _released(options, lambda release: release.deploy())


def _remove(options: argparse.Namespace) -> int:
    return _released(options, lambda release: release.remove(_answer))


def _answer(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        return ""  # nobody is there to answer


def _released(options: argparse.Namespace, work: Callable[[Release], int]) -> int:
    """Do the work of a release; its modules need the packages of `make`'s environment."""
    from deployment.release import Release, ReleaseError  # noqa: PLC0415 # see above
    from kafka_maxcompute.errors import ConnectorError  # noqa: PLC0415

    environment = _checked(options.template, deploys=True)
    release = Release(options.template, environment, options.yes, options.only, options.access, _say)
    try:
        return work(release)
    except (ReleaseError, ConnectorError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _check(options: argparse.Namespace) -> int:
    _checked(options.template, deploys=True)
    return 0


def _run(options: argparse.Namespace) -> int:
    environment = _checked(Path("template.yml"), deploys=False)
    os.execvpe(options.command[0], options.command, environment)  # noqa: S606 # the Makefile's


def _checked(template: Path, *, deploys: bool) -> dict[str, str]:
    """Return the variables for a template; raises VariablesError with all faults, or VariablesFileError.

    If it `deploys`, variables that belong together have to be set together; before that, `make bootstrap` adds some.
    """
    environment = variables.environment(template, os.environ)
    faults = [
        *variables.unknown(template, os.environ),
        *values.faults(environment, partial(variables.place, template, os.environ)),
        *(values.incomplete(environment) if deploys else ()),
    ]
    if faults:
        raise variables.VariablesError(faults)
    return environment


if __name__ == "__main__":
    sys.exit(main())
