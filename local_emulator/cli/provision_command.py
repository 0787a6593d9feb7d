"""`python -m local_emulator provision`: runs an action of the provisioning function and prints its reply as tables."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from local_emulator import connectors, local_template, project, provisioner
from local_emulator.cli import own_api
from local_emulator.cli.output import print_error, print_json, print_lines
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
    at = connectors.read(options)
    if obstacle := _reset_obstacle(at, event):
        if event.get("confirm"):
            raise ProvisioningError(f"{obstacle}. Nothing was changed")
        print_error(obstacle)
    return carry_out(at, event, as_json=options.json)


def _reset_obstacle(at: Endpoints, event: Mapping[str, Any]) -> str:
    """Return why this cloud's broker can't carry out the event, a `reset`; "" if it can."""
    moves_group = event["action"] == "reset" and event.keys() & {"start", "start_timestamp"}
    is_embedded = at.retention_bytes is not None
    if not moves_group or not is_embedded or "records" not in own_api.stream(at):
        return ""
    return (
        f"this reset can't be done here: the embedded broker keeps the offsets of a group that has had members, and "
        f"{at.group} has had the stream's. Use a real broker (--kafka apache or host:port); or, with --data-dir, "
        "pause the stream, start `up` again, and reset before you resume the stream"
    )


def carry_out(
    at: Endpoints, event: Mapping[str, Any], *, as_json: bool = False, without_warning: str | None = None
) -> int:
    """Invoke the provisioning function with an event; print each resource when it is done, then the reply.

    A warning that contains `without_warning` isn't printed.
    Returns 1 if the action wasn't done or found faults. Raises InvocationError if there is no reply.
    """
    if as_json:
        reply = provisioner.invoke(at, event)
        print_json(reply)
        return int(provisioner.has_failed(reply))
    with provisioner.progress(at, lambda line: CONSOLE.print(f"  {line}")):
        reply = provisioner.invoke(at, event)
    if without_warning is not None:
        reply["warnings"] = [text for text in reply.get("warnings", ()) if without_warning not in text]
    print_lines(lines(reply))
    return int(provisioner.has_failed(reply))


def print_policy(options: argparse.Namespace) -> int:
    """Print the least RAM policy that provisioning needs with these settings; needs no running cloud."""
    template = local_template.template(project.environment())
    function = template.functions[local_template.PROVISIONER]
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
