"""`make deploy` and `make remove` against the local Function Compute: what is published, deployed, removed and kept."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_fc20230330 import models

from deployment.__main__ import main
from deployment.layer_versions import checksum
from local_emulator.control_plane import server
from tests.control_plane_clients import OWNER
from tests.stream_clients import function_compute

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("powertools", "connector", "dependencies")
# Instead of the real program, which downloads wheels: each archive has one file.
BUILD = """\
import pathlib, sys, zipfile
for name in ("powertools", "connector", "dependencies"):
    archive = pathlib.Path(f"dist/kafka-maxcompute-{name}-{sys.argv[1]}.zip")
    archive.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w") as packed:
        source = pathlib.Path("layers", name).read_text() + sys.argv[1]
        packed.writestr(zipfile.ZipInfo("python/module.py"), source)
"""
# Notes its arguments and the variables that the template would read.
SERVERLESS_DEVS = """\
#!/bin/sh
echo "$*|$LAYER_POWERTOOLS_VERSION $LAYER_CONNECTOR_VERSION $LAYER_DEPENDENCIES_VERSION|$STREAM_ENABLED" >> calls
exit "${S_EXIT:-0}"
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[server.ControlPlaneServer]:
    with server.start() as running:
        yield running


class Project:
    """A folder with the templates, three layers of one file, and a command s that notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("template.yml", "template-stream.yml"):
            (folder / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "layers").mkdir()
        (folder / "layers/build.py").write_text(BUILD, encoding="utf-8")
        for name in LAYERS:
            self.change(name, f"{folder.name} {name}")
        (folder / "bin").mkdir()
        (folder / "bin/s").write_text(SERVERLESS_DEVS, encoding="utf-8")
        (folder / "bin/s").chmod(0o755)

    def change(self, layer: str, source: str) -> None:
        (self.folder / "layers" / layer).write_text(source, encoding="utf-8")

    @property
    def variables(self) -> str:
        return (self.folder / ".env").read_text(encoding="utf-8")

    def calls(self) -> list[str]:
        """How s was called since the last look."""
        file = self.folder / "calls"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines


@pytest.fixture
def project(tmp_path: Path, plane: server.ControlPlaneServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FC_CLIENT_CUSTOM_ENDPOINT", f"http://{plane.endpoint}")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", OWNER[0])
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", OWNER[1])
    return made


def versions(plane: server.ControlPlaneServer, layer: str) -> list[Any]:
    request = models.ListLayerVersionsRequest()
    return list(function_compute(plane).list_layer_versions(f"kafka-maxcompute-{layer}", request).body.layers)


def create_function(plane: server.ControlPlaneServer, name: str) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as packed:
        packed.writestr("index.py", "def handler(event, context):\n    return 'done'\n")
    content = models.InputCodeLocation(zip_file=base64.b64encode(code.getvalue()).decode())
    wanted = models.CreateFunctionInput(function_name=name, runtime="python3.10", handler="index.handler", code=content)
    function_compute(plane).create_function(models.CreateFunctionRequest(body=wanted))


def numbers(project: Project) -> list[int]:
    """The versions that .env has for the next deploy."""
    given = dict(line.split("=") for line in project.variables.splitlines() if line.startswith("LAYER_"))
    return [int(given[f"LAYER_{name.upper()}_VERSION"]) for name in LAYERS]


def test_a_deploy_publishes_the_layers_and_deploys_with_them(
    project: Project, plane: server.ControlPlaneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_ENABLED", "false")
    assert main(["deploy"]) == 0
    published = numbers(project)
    assert project.calls() == [f"deploy -t template.yml|{' '.join(map(str, published))}|false"]
    for name, number in zip(LAYERS, published, strict=True):
        archive = (project.folder / f"dist/kafka-maxcompute-{name}-python3.10.zip").read_bytes()
        (version,) = [version for version in versions(plane, name) if version.version == number]
        assert (version.code_size, version.code_checksum) == (len(archive), checksum(archive))
        assert version.compatible_runtime == ["python3.10"]
        assert version.description.startswith("kafka-maxcompute-")


def test_layers_that_have_not_changed_are_not_published_again(
    project: Project, plane: server.ControlPlaneServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", "--yes", "--only", "sink", "--access", "prod", "--template", "template-stream.yml"]) == 0
    first = numbers(project)
    file = project.variables
    assert main(["deploy"]) == 0
    assert numbers(project) == first
    assert project.variables == file
    assert capsys.readouterr().out.count("is published already") == 3
    project.change("connector", "changed")
    assert main(["deploy"]) == 0
    changed = numbers(project)
    assert changed[1] == len(versions(plane, "connector"))
    assert (changed[0], changed[2]) == (first[0], first[2])
    project.change("connector", f"{project.folder.name} connector")
    assert main(["deploy"]) == 0
    assert numbers(project) == first
    calls = project.calls()
    assert calls[0].startswith("sink deploy -t template-stream.yml -a prod -y|")
    assert calls[2].split("|")[1] == " ".join(map(str, changed))


def test_each_runtime_has_its_versions(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.folder / ".env").write_text("RUNTIME=python3.12 # from the file\n", encoding="utf-8")
    assert main(["deploy"]) == 0
    newer = numbers(project)
    monkeypatch.setenv("RUNTIME", "python3.10")
    assert main(["deploy"]) == 0
    assert all(older != other for older, other in zip(numbers(project), newer, strict=True))
    assert project.variables.startswith("RUNTIME=python3.12 # from the file\n")


def test_a_failure_of_serverless_devs_is_the_commands(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S_EXIT", "101")
    assert main(["deploy"]) == 101
    assert len(project.calls()) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"CONNECTOR_PARTITON": "DAY"}, "did you mean CONNECTOR_PARTITION?"),
        ({"CONNECTOR_VPC_ID": "vpc-a"}, "VSWITCH_IDS and SECURITY_GROUP_ID: expected together"),
        ({"ALIBABA_CLOUD_ACCESS_KEY_ID": ""}, "expected the keys of the user who deploys"),
        ({"PATH": "/nowhere"}, "npm install --global @serverless-devs/s@3.1.10"),
        ({"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"}, "could not ListLayerVersions: SignatureNotMatch"),
    ],
)
def test_what_is_wrong_is_reported_before_anything_changes(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    says: str,
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    assert main(["deploy", "--yes"]) == 1
    assert says in capsys.readouterr().err
    assert main(["remove", "--yes"]) == 1
    assert says.replace("ListLayerVersions", "ListFunctions") in capsys.readouterr().err
    assert project.calls() == []
    assert not (project.folder / ".env").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--only", "snik", "--template", "template-stream.yml"],
            "expected ONLY to be a resource of template-stream.yml (provisioner or sink), found snik",
        ),
        (
            ["--template", "nosuch.yml"],
            "a file such as template-stream.yml or template.yml, found nosuch.yml, which doesn't exist",
        ),
        (["--template", "layers"], "found layers, which isn't a file"),
        (["--template", "empty.yml"], "expected a template in empty.yml, found no resources"),
        (["--template", "broken.yml"], "expected a template in broken.yml, found no YAML"),
    ],
)
def test_a_resource_or_template_that_is_not_there_is_refused_first(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    says: str,
) -> None:
    (project.folder / "broken.yml").write_text("edition: [3.0.0\n", encoding="utf-8")
    (project.folder / "empty.yml").write_text("edition: 3.0.0\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    for command in ("deploy", "remove"):
        assert main([command, *words]) == 1
        told = capsys.readouterr()
        assert says in told.err
        assert told.out == ""
    assert project.calls() == []
    assert not (project.folder / "dist").exists()


def test_a_removal_asks_and_keeps_what_others_use(
    project: Project,
    plane: server.ControlPlaneServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(["remove"]) == 1
    told = capsys.readouterr().out
    assert "sink and provisioner" in told
    assert "The table, the topics, the group, the roles, the layers' versions and the logs stay" in told
    assert project.calls() == []
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["remove"]) == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("Y\n"))
    assert main(["remove"]) == 0
    assert [call.split("|")[0] for call in project.calls()] == [
        "sink remove -t template.yml -y",
        "provisioner remove -t template.yml -y",
    ]
    create_function(plane, "maxcompute-sink-payments")
    assert main(["remove", "--yes"]) == 0
    assert "other connectors may use it: maxcompute-sink-payments" in capsys.readouterr().out
    assert [call.split("|")[0] for call in project.calls()] == ["sink remove -t template.yml -y"]


def test_the_checksum_is_that_of_the_service() -> None:
    """CRC-64/XZ's check value, and an odd number of bytes."""
    assert checksum(b"123456789") == str(0x995DC9BBDF1939FA)
    assert checksum(b"") == "0"
    assert checksum(b"1234567890") != checksum(b"123456789")
