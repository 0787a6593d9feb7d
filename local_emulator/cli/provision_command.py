"""`python -m local_emulator provision`: runs an action of the provisioning function and prints its reply as tables."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from local_emulator import cloud, connectors, project, provisioner
from local_emulator.cli.output import print_json, print_lines
from local_emulator.cli.progress import CONSOLE
from local_emulator.cli.provisioning_reply import lines
from local_emulator.function_compute import layers
from local_emulator.provisioner import ProvisioningError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.endpoints import Endpoints

POLICY_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "action",
        help="plan, apply, status, test, pause, resume, reset, letters, redrive, audit or destroy; "
        "bootstrap, which `up` has done already",
    )
    parser.add_argument(
        "event", nargs="?", metavar="JSON", help="further fields of the event, such as '{\"create_table\": true}'"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        dest="settings",
        help="a setting that replaces the function's own; may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    """Run the action and print the reply; return 1 if the action wasn't done or found faults."""
    event = fields(options.event or "{}")
    if "action" in event:
        raise ProvisioningError(
            "expected JSON without the field action, because the action is an argument of its own; found action in it"
        )
    event["action"] = options.action
    if options.settings:
        settings = event.get("settings", {})
        if not isinstance(settings, dict):
            kind = type(settings).__name__
            raise ProvisioningError(f"expected the event's settings as a JSON object, found {kind}")
        event["settings"] = {**settings, **dict(options.settings)}
    return carry_out(connectors.read(options), event, as_json=options.json)


def carry_out(at: Endpoints, event: Mapping[str, Any], *, as_json: bool = False) -> int:
    """Invoke the provisioning function with an event; print each resource when it is done, then the reply.

    Returns 1 if the action wasn't done or found faults. Raises InvocationError if there is no reply.
    """
    if as_json:
        reply = provisioner.invoke(at, event)
        print_json(reply)
        return int(provisioner.has_failed(reply))
    with provisioner.progress(at, lambda line: CONSOLE.print(f"  {line}")):
        reply = provisioner.invoke(at, event)
    print_lines(lines(reply))
    return int(provisioner.has_failed(reply))


def print_policy(options: argparse.Namespace) -> int:
    """Print the least RAM policy that provisioning needs with these settings; needs no running cloud."""
    template = cloud.template(project.environment())
    function = template.functions[cloud.PROVISIONER]
    folders = [function.code, *layers.folders(function, template.path.parent)]
    process = subprocess.run(  # this interpreter, and the function's own module
        [sys.executable, "-m", "provisioning", "policy"],
        env={**function.environment, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        timeout=POLICY_SECONDS,
        check=False,
    )
    if process.returncode:
        raise ProvisioningError((process.stdout + process.stderr).strip())
    if options.json:
        print_json(json.loads(process.stdout))
    else:
        CONSOLE.print(process.stdout.rstrip())
    return 0


def fields(text: str) -> dict[str, Any]:
    """Return the JSON object that the text holds; ProvisioningError if it holds something else."""
    try:
        event = json.loads(text)
    except ValueError as error:
        raise ProvisioningError(
            f"expected the event's further fields as a JSON object, found no JSON: {error}"
        ) from None
    except RecursionError:
        raise ProvisioningError(
            "expected the event's further fields as a JSON object, found one that nests too deeply"
        ) from None
    if not isinstance(event, dict):
        raise ProvisioningError(f"expected the event's further fields as a JSON object, found {type(event).__name__}")
    return event


def _setting(text: str) -> tuple[str, str]:
    name, separated, value = text.partition("=")
    if not name or not separated:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, found {text!r}")
    return name, value
