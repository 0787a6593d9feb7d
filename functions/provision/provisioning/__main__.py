"""`python -m provisioning`: the provisioning function's actions on a person's machine, with that person's keys.

    python -m provisioning policy                       prints the least policy for provisioning
    python -m provisioning bootstrap                    before the first deploy: roles, the policy, and a file .env
    python -m provisioning plan '{"create_table": true}'   any other action, with more fields of its event

The settings are the variables CONNECTOR_... of the environment, the keys are ALIBABA_CLOUD_ACCESS_KEY_ID, ..._SECRET
and ALIBABA_CLOUD_SECURITY_TOKEN. `bootstrap` adds the variables that the Kafka instance decides to the file .env of the
current folder, which template.yml is read with; it changes no variable that is set already. The reply is JSON; the exit
code is 0 if the reply has no faults.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from fc_powertools.context import Context, Function
from fc_powertools.decorators import opened
from kafka_maxcompute.control.kms import secret_name
from kafka_maxcompute.errors import ConfigurationError
from provisioning import variables_file
from provisioning.invocation import answer
from provisioning.request import read
from provisioning.resources.policy import least_policy

SECONDS = 600
"""The time limit of an action."""
VARIABLES_FILE = Path(".env")
WRONG_USE = 2


def main(arguments: list[str]) -> int:
    """Do one action and print its reply; return the exit code."""
    if sys.stdout is None:  # the parent process has closed it
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 # open to the end
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(__doc__ or "")
        return 0 if arguments else WRONG_USE
    action, *more = arguments
    try:
        fields = _fields(more)
    except ValueError as error:
        sys.stderr.write(f"expected the event's other fields as one JSON object, found {error}\n")
        return WRONG_USE
    reply = _policy(fields) if action == "policy" else _run({"action": action, **fields})
    if "variables" in reply:
        _keep_variables(reply)
    code = 1 if reply.get("faults") or reply.get("state") == "blocked" else 0
    return _print(reply, code)


def _fields(arguments: list[str]) -> dict[str, Any]:
    """Return the event's fields besides its action; raises ValueError that says what was found instead."""
    if len(arguments) > 1:
        raise ValueError(f"{len(arguments)} arguments; put the object between single quotes")
    try:
        fields = json.loads(arguments[0]) if arguments else {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError(type(fields).__name__)  # noqa: TRY004 # of the user's text, not of a caller
    if "action" in fields:
        raise ValueError("an action in the object, too; the action is the first argument")
    return fields


def _keep_variables(reply: dict[str, Any]) -> None:
    """Add a reply's variables to the file; if the file can't be changed, add a fault and keep them in the reply."""
    try:
        written = variables_file.add(VARIABLES_FILE, reply["variables"], os.environ)
    except (OSError, ValueError) as error:
        fault = f"{VARIABLES_FILE} can't be changed: {error}; add the variables of this reply by hand"
        reply["faults"] = [*reply.get("faults", ()), fault]
        return
    del reply["variables"]
    reply[str(VARIABLES_FILE)] = {"added": written.added, "kept": written.kept}


def _print(reply: dict[str, Any], code: int) -> int:
    """Print a reply; return `code`, or 1 if standard output can't be written."""
    text = json.dumps(reply, indent=2, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(reply, indent=2)
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes again at its end, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"standard output can't be written: {error.strerror}\n")
        return 1
    return code


def _run(event: dict[str, Any]) -> dict[str, Any]:
    context = Context(request_id="local", function=Function(name="provisioning", timeout=SECONDS))
    with opened(context) as current:
        return answer(json.dumps(event).encode(), current)


def _policy(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the policy, which needs only the settings; no service is called."""
    try:
        settings = read(json.dumps({"action": "bootstrap", **fields}).encode(), os.environ).settings
    except ConfigurationError as error:
        return {"state": "refused", "faults": list(error.faults)}
    secret = secret_name(settings.sasl_password)
    return least_policy(settings.account_id, settings.region, settings.role, settings.instance_id, secret)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
