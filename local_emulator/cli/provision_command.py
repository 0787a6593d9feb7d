"""`python -m local_emulator provision`: an action of the running cloud's provisioning function, its reply as tables."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from local_emulator import cloud, endpoints, provisioner
from local_emulator.cli.progress import CONSOLE
from local_emulator.cli.provisioning_reply import lines
from local_emulator.function_compute import layers
from local_emulator.provisioner import ProvisioningError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.endpoints import Endpoints

POLICY_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("action", help="plan, apply, status, test, pause, resume, reset, redrive, audit or destroy")
    parser.add_argument("event", nargs="?", metavar="JSON", help="other fields: '{\"create_table\": true}'")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        dest="settings",
        help="a setting in place of the function's own; can be given again",
    )
    parser.add_argument("--json", action="store_true", help="print the reply as it is")


def run(options: argparse.Namespace) -> int:
    """Do the action and show the reply; 1 where something stood against it."""
    given = fields(options.event or "{}")
    if "action" in given:
        raise ProvisioningError("expected the event's other fields, found action; it stands before them")
    event = {**given, "action": options.action}
    if options.settings:
        given = event.get("settings", {})
        if not isinstance(given, dict):
            found = type(given).__name__
            raise ProvisioningError(f"expected the event's settings as a JSON object, found {found}")
        event["settings"] = {**given, **dict(options.settings)}
    return carry_out(endpoints.read(), event, as_json=options.json)


def carry_out(at: Endpoints, event: Mapping[str, Any], *, as_json: bool = False) -> int:
    """Invoke the provisioning function with an event and show what it replies, and before that each resource done.

    1 where something stood against it; InvocationError where it gave no reply.
    """
    if as_json:
        reply = provisioner.invoke(at, event)
        CONSOLE.print(json.dumps(reply, indent=2, ensure_ascii=False))
        return int(provisioner.undone(reply))
    with provisioner.following(at, lambda line: CONSOLE.print(f"  {line}")):
        reply = provisioner.invoke(at, event)
    for line in lines(reply):
        CONSOLE.print(line)
    return int(provisioner.undone(reply))


def print_policy(_: argparse.Namespace) -> int:
    """Print the least policy of whoever provisions with template.yml and these settings; nothing has to run."""
    template = cloud.template(os.environ)
    function = template.functions[cloud.PROVISIONER]
    folders = [function.code, *layers.folders(function, template.path.parent)]
    ran = subprocess.run(  # this interpreter, and the function's own module
        [sys.executable, "-m", "provisioning", "policy"],
        env={**function.environment, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        timeout=POLICY_SECONDS,
        check=False,
    )
    if ran.returncode:
        raise ProvisioningError((ran.stdout + ran.stderr).strip())
    CONSOLE.print(ran.stdout.rstrip())
    return 0


def fields(text: str) -> dict[str, Any]:
    """A JSON object out of the command line; ProvisioningError says what was expected."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ProvisioningError(f"expected the event's other fields as a JSON object, found no JSON: {error}") from None
    except RecursionError:
        raise ProvisioningError(
            "expected the event's other fields as a JSON object, found one that nests too deeply"
        ) from None
    if not isinstance(found, dict):
        raise ProvisioningError(f"expected the event's other fields as a JSON object, found {type(found).__name__}")
    return found


def _setting(text: str) -> tuple[str, str]:
    name, separated, value = text.partition("=")
    if not name or not separated:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, found {text!r}")
    return name, value
