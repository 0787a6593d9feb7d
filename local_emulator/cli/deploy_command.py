"""`python -m local_emulator deploy`: deploys template.yml, with the present variables, into the running cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator import deployer, endpoints, local_template, project
from local_emulator.cli.output import print_json
from local_emulator.cli.progress import CONSOLE
from local_emulator.management import ManagementClient

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("resource", nargs="*", help="resources of the template, such as sink; default: all")


def run(options: argparse.Namespace) -> int:
    """Deploy, and print each step; return 0."""
    at = endpoints.read()
    template = local_template.template(local_template.variables(project.environment(), at.variables))
    steps: list[str] = []

    def say(line: str) -> None:
        steps.append(line)
        if not options.json:
            CONSOLE.print(line)

    deployer.deploy(ManagementClient(at), template, options.resource, say)
    if options.json:
        print_json({"steps": steps})
    return 0
