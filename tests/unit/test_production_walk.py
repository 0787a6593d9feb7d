"""The commands that the documents give for the cloud: names, actions, fields and variables are those that there are."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml

from fc_powertools.credentials import ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN
from local_emulator.function_compute.template import load
from provisioning import network
from provisioning.request import read

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yml"
DOCUMENTS = ("README.md", "docs/OPERATIONS.md", "docs/CONFIGURATION.md")
RESOURCES = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))["resources"]
ENDPOINT = "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api"
COMMANDS = {"deploy", "remove", "invoke", "info", "logs"}
"""Of fc3 0.1.22, those that the documents use."""
ELSEWHERE = {ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN, "PYTHONPATH"}
"""Variables that template.yml doesn't read."""
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*=")


def shell(document: str) -> list[str]:
    """The lines of a document's shell blocks and indented commands; files that are written there are left out."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = [textwrap.dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)]
    blocks = [re.sub(r"<<'END'\n.*?\nEND", "", block, flags=re.DOTALL) for block in blocks]
    indented = re.findall(r"^    ((?:[A-Z_]+=\S+ )*(?:s|make|export|npm) .*)$", text, re.MULTILINE)
    return [line for line in [*"\n".join(blocks).splitlines(), *indented] if line.strip()]


def commands(first: str) -> list[tuple[str, list[str]]]:
    """Every command that begins with a word, without variables before it; with the document that has it."""
    found = []
    for document in DOCUMENTS:
        for line in shell(document):
            words = shlex.split(line)
            while words and VARIABLE.match(words[0]):
                words.pop(0)
            if words[:1] == [first]:
                found.append((document, words[1:]))
    return found


def serverless() -> list[list[str]]:
    return [words for _, words in commands("s")]


def test_the_readme_walks_from_the_installation_to_the_end() -> None:
    walk = [words for document, words in commands("s") if document == "README.md"]
    events = [json.loads(words[words.index("-e") + 1])["action"] for words in walk if "-e" in words]
    assert walk[0] == ["config", "add"]
    assert events == ["plan", "apply", "test", "test", "status", "pause", "resume", "destroy", "apply"]
    made = [words for document, words in commands("make") if document == "README.md"]
    assert [words for words in made if words not in (["run"], ["test"])] == [["bootstrap"], ["deploy"], ["remove"]]


def test_a_make_target_of_the_documents_exists_and_reads_its_variables() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for document, (target, *given) in commands("make"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{document}: make {target}"
        assert all(f"$({word.partition('=')[0]})" in makefile for word in given), f"{document}: {given}"


@pytest.mark.parametrize("words", [words for words in serverless() if words[0] != "config"], ids=" ".join)
def test_a_command_of_serverless_devs(words: list[str]) -> None:
    """It names the template, for s looks for s.yaml only; a resource of it, or none; and a command of the component."""
    assert words[words.index("-t") + 1] in {"template.yml", "template-stream.yml"}
    names = words[: words.index("-t")]
    assert names[-1] in COMMANDS
    assert set(names[:-1]) <= set(RESOURCES)
    if "invoke" in names:
        assert names == ["provisioner", "invoke"]
        environment = load(TEMPLATE, {"CONNECTOR_BOOTSTRAP_SERVERS": "b:9092"}).functions["provisioner"].environment
        event = words[words.index("-e") + 1]
        assert read(event.encode(), environment).action == json.loads(event)["action"]


def test_the_targets_of_a_deployment_pass_their_variables_on() -> None:
    given = ["TEMPLATE=template-stream.yml", "ONLY=sink", "ACCESS=prod", "YES=1"]
    for target in ("deploy", "remove"):
        made = {}
        for variables in ([], given, ["YES=0"]):
            command = ["make", "--no-print-directory", "--dry-run", "--old-file=.venv/run.stamp", target, *variables]
            ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            made[len(variables)] = ran.stdout.splitlines()[-1].split()[1:]
        assert made[0] == made[1] == ["-m", "deployment", target, "--template", "template.yml"]
        options = ["--template", "template-stream.yml", "--access", "prod", "--only", "sink", "--yes"]
        assert made[4] == ["-m", "deployment", target, *options]


def test_the_file_of_the_walk_is_a_whole_connector() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    written = re.search(r"cat > \.env <<'END'\n(.*?)\n *END", text, re.DOTALL)
    assert written is not None
    given = dict(line.strip().split("=", 1) for line in written[1].splitlines())
    instance = {
        "VpcId": "vpc-a",
        "VSwitchId": "vsw-a",
        "SecurityGroup": "sg-a",
        "DomainEndpoint": "alikafka-x-1-vpc.alikafka.aliyuncs.com:9092",
    }
    settings = read(b'{"action": "bootstrap"}', {**given, "CONNECTOR_DELIVERY": "exactly-once"}).settings
    bootstrapped = network.variables(instance, settings)
    functions = load(TEMPLATE, {**bootstrapped, **given}).functions
    sink, provisioner = functions["sink"], functions["provisioner"]
    assert sink.name == "maxcompute-sink-orders"
    assert read(b'{"action": "plan"}', provisioner.environment).function == sink.name
    assert sink.props["vpcConfig"]["vSwitchIds"] == ["vsw-a"]


def test_every_variable_of_a_command_is_one_that_the_template_reads() -> None:
    known = set(re.findall(r"env\('([A-Z_]+)'", TEMPLATE.read_text(encoding="utf-8"))) | ELSEWHERE
    used = set()
    for document in DOCUMENTS:
        for line in shell(document):
            used |= {word.split("=")[0] for word in shlex.split(line) if VARIABLE.match(word)}
    assert {"STREAM_ENABLED", "CONNECTOR_NAME"} <= used
    assert used - known == set()


def test_what_bootstrap_adds_is_read_by_the_template() -> None:
    known = set(re.findall(r"env\('([A-Z_]+)'", TEMPLATE.read_text(encoding="utf-8")))
    needed = {"name": "n", "source_topic": "t", "endpoint": ENDPOINT, "project": "p", "table": "t"}
    instance = {"VpcId": "v", "VSwitchId": "s", "SecurityGroup": "g", "EndPoint": "10.0.0.1:9092"}
    settings = read(json.dumps({"action": "bootstrap", "settings": needed | {"bootstrap_servers": "b:1"}}).encode(), {})
    assert set(network.variables(instance, settings.settings)) <= known


def test_every_variable_of_the_template_is_documented() -> None:
    """Settings have pages of their own, which `test_settings_document.py` holds to them."""
    read_there = set(re.findall(r"env\('([A-Z_]+)'", TEMPLATE.read_text(encoding="utf-8")))
    text = (ROOT / "docs/CONFIGURATION.md").read_text(encoding="utf-8")
    section = text[text.index("## What only the deployment needs") :].split("\n## ")[0]
    told = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([A-Z_]+)`", line.split("|")[1])
    }
    assert {name for name in read_there if not name.startswith("CONNECTOR_")} == told
