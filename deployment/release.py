"""`make deploy` and `make remove`: the layers and the functions of a template, and nothing else.

Serverless Devs deploys and removes the functions. The layers' versions go through Function Compute's API
(`layer_versions`), because Serverless Devs has no resource for a layer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from deployment import dotenv, layer_versions
from fc_powertools import Deadline
from fc_powertools.credentials import ACCESS_KEY_ID, ACCESS_KEY_SECRET, in_environment
from kafka_maxcompute import __version__
from kafka_maxcompute.control.control_plane import ControlPlane
from kafka_maxcompute.control.operation import Operation
from kafka_maxcompute.settings.destinations import TrustedAddress
from kafka_maxcompute.settings.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

LAYERS = ("powertools", "connector", "dependencies")
ENDPOINT = "FC_CLIENT_CUSTOM_ENDPOINT"
"""fc3's variable for another address of Function Compute, such as a local emulator's; ours, too."""
LIST_FUNCTIONS = Operation(
    layer_versions.FUNCTION_COMPUTE,
    "ListFunctions",
    "fc:ListFunctions",
    "acs:fc:{region}:{account}:functions/*",
    "GET",
    "/2023-03-30/functions",
)
SINKS = "maxcompute-sink-"
_DEADLINE_SECONDS = 1_800
_READ_SECONDS = 600.0
_PAGE = 100
HEADER = "# Written by make deploy: the published versions of the layers."
INSTALL = "npm install --global @serverless-devs/s@3.1.10"


class ReleaseError(Exception):
    """A deployment can't go on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Release:
    """One deployment: a template, its variables (.env's and the shell's), and whether to ask before changes.

    `only` is the name of one resource of the template, or "" for all. `access` is the alias of the keys that Serverless
    Devs uses, or "" for the template's. `say` prints a line.
    """

    template: Path
    environment: Mapping[str, str]
    assume_yes: bool
    only: str
    access: str
    say: Callable[[str], None]

    def deploy(self) -> int:
        """Publish the layers that have changed, and deploy the functions; return Serverless Devs' exit code."""
        self._need_resource()
        self._need_serverless_devs()
        control, runtime = self._control(), self._variable("RUNTIME", "python3.10")
        self._build(runtime)
        versions = dict(self._publish(control, runtime))
        self._write(versions)
        return self._serverless_devs(*filter(None, (self.only,)), "deploy", versions=versions, yes=self.assume_yes)

    def remove(self, ask: Callable[[str], str]) -> int:
        """Remove the functions, and the trigger with the sink; return Serverless Devs' exit code."""
        self._need_resource()
        self._need_serverless_devs()
        own = f"{SINKS}{self._variable('CONNECTOR_NAME', 'kafka-maxcompute-sink')}"
        others = [name for name in self._functions() if name != own]
        going = [self.only] if self.only else ["sink"] if others else ["sink", "provisioner"]
        self.say(f"make remove removes: {' and '.join(going)} of {self.template.name} ({own} with its trigger).")
        if others and not self.only:
            self.say(f"The provisioner stays, because other connectors may use it: {', '.join(others)}.")
        self.say(
            "The table, the topics, the group, the roles, the layers' versions and the logs stay, and so does an event "
            "stream that apply created. To remove what the connector alone uses, first run the provisioner's destroy."
        )
        if not self.assume_yes and ask("Remove? [y/N] ").strip().lower() not in {"y", "yes"}:
            self.say("nothing was removed")
            return 1
        for resource in going:
            if code := self._serverless_devs(resource, "remove", yes=True):
                return code
        return 0

    def _variable(self, name: str, default: str) -> str:
        return self.environment.get(name) or default

    def _control(self) -> ControlPlane:
        credentials = in_environment(self.environment)
        if credentials is None:
            raise ReleaseError(
                f"expected the keys of the user who deploys in {ACCESS_KEY_ID} and {ACCESS_KEY_SECRET}, found none; "
                "export both, as for make bootstrap"
            )
        region = self._variable("CONNECTOR_REGION", str(SETTINGS["region"].default))
        address = self.environment.get(ENDPOINT, "")
        return ControlPlane(
            region,
            credentials,
            Deadline.after(_DEADLINE_SECONDS),
            {"region": region},
            endpoint=TrustedAddress(address if "://" in address or not address else f"https://{address}"),
            grantee="the user who deploys",
            read_seconds=_READ_SECONDS,
        )

    def _build(self, runtime: str) -> None:
        """Build the layers' archives; those whose inputs haven't changed are left as they are."""
        built = subprocess.run(  # noqa: S603 # the project's own program
            [sys.executable, "layers/build.py", runtime, "--quiet"],
            cwd=self.template.parent,
            env=dict(self.environment),
            check=False,
        )
        if built.returncode:
            raise ReleaseError("the layers can't be built (see above); nothing was published or deployed")

    def _publish(self, control: ControlPlane, runtime: str) -> Iterator[tuple[str, str]]:
        """Publish the layers that have changed; yield each version's variable and number."""
        for name in LAYERS:
            layer = f"kafka-maxcompute-{name}"
            published = layer_versions.publish(
                control,
                layer,
                self.template.parent / f"dist/{layer}-{runtime}.zip",
                runtime=runtime,
                description=f"kafka-maxcompute-{__version__}",
            )
            state = "is published already" if published.was_there else "published"
            self.say(f"layer {layer}: version {published.version} {state}")
            yield f"LAYER_{name.upper()}_VERSION", str(published.version)

    def _write(self, versions: Mapping[str, str]) -> None:
        """Keep the versions in .env, for later deploys without `make`."""
        file = self.template.with_name(dotenv.FILE)
        if dotenv.assign(file, versions, header=HEADER):
            self.say(f"{file.name}: {', '.join(f'{name}={version}' for name, version in versions.items())}")
        for name, version in versions.items():
            if os.environ.get(name) not in (None, version):
                self.say(
                    f"{name}: this deploy uses {version}; the shell has {os.environ[name]}, which a later s deploy "
                    f"would use: unset {name}"
                )

    def _functions(self) -> Iterator[str]:
        """Yield the names of all sinks in the region."""
        control, token = self._control(), None
        while True:
            page = control.call(LIST_FUNCTIONS, {"prefix": SINKS, "limit": _PAGE, "nextToken": token})
            yield from (str(function["functionName"]) for function in page.get("functions", ()))
            token = page.get("nextToken")
            if not token:
                return

    def _need_resource(self) -> None:
        names = _resources(self.template)
        if self.only and self.only not in names:
            raise ReleaseError(
                f"expected ONLY to be a resource of {self.template.name} ({' or '.join(names)}), found {self.only}; "
                "nothing was changed"
            )

    def _need_serverless_devs(self) -> None:
        if shutil.which("s", path=self.environment.get("PATH")) is None:
            raise ReleaseError(f"expected Serverless Devs (the command s) in PATH, found none; run: {INSTALL}")

    def _serverless_devs(self, *words: str, versions: Mapping[str, str] | None = None, yes: bool) -> int:
        """Run Serverless Devs with the variables that were checked; return its exit code."""
        command = ["s", *words, "-t", self.template.name, *(["-a", self.access] if self.access else [])]
        command += ["-y"] if yes else []
        self.say(f"$ {' '.join(command)}")
        return subprocess.run(  # noqa: S603 # the command is in PATH, as the user types it
            command, cwd=self.template.parent, env={**self.environment, **(versions or {})}, check=False
        ).returncode


def _resources(template: Path) -> list[str]:
    """Return the names of the resources of a template and of the template that it extends; raises ReleaseError."""
    documents = [_document(template)]
    if isinstance(extended := documents[0].get("extend"), str):
        documents.append(_document(template.parent / extended))
    names = sorted({str(name) for document in documents for name in document.get("resources") or ()})
    if not names:
        raise ReleaseError(f"expected a template in {template.name}, found no resources; nothing was changed")
    return names


def _document(template: Path) -> dict[str, Any]:
    if not template.is_file():
        there = " or ".join(sorted(path.name for path in template.parent.glob("template*.yml"))) or "template.yml"
        problem = "isn't a file" if template.exists() else "doesn't exist"
        raise ReleaseError(
            f"expected TEMPLATE to be a file such as {there}, found {template}, which {problem}; nothing was changed"
        )
    try:
        document = yaml.safe_load(template.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReleaseError(
            f"expected a template in {template.name}, found no YAML: {error}; nothing was changed"
        ) from error
    return document if isinstance(document, dict) else {}
