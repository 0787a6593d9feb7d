"""Misspelt variables in the shell and in .env, whose defaults would count without a word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployment import values, variables
from deployment.__main__ import main as deployment
from deployment.variables import VariablesError, check, environment
from kafka_maxcompute.settings.setting import CERTIFICATE_PREFIX, SECRET_PREFIX
from kafka_maxcompute.settings.settings import PREFIX, SETTINGS
from local_emulator.__main__ import main

pytestmark = pytest.mark.quick

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yml"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """The project's template in a folder that has besides what tells a checkout."""
    path = tmp_path / "template.yml"
    (tmp_path / "functions/sink").mkdir(parents=True)
    path.write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_every_setting_and_what_settings_refer_to_is_known(template: Path) -> None:
    names = [f"CONNECTOR_{name.upper()}" for name in SETTINGS]
    references = ["CONNECTOR_SECRET_KAFKA", "CONNECTOR_CA_KAFKA", "PATH", "BATCH_SECONDS", "CONNECTORS"]
    (template.parent / ".env").write_text("".join(f"{name}=x\n" for name in names + references), encoding="utf-8")
    check(template, dict.fromkeys(names + references, "x"))
    assert (variables.PREFIX, variables.REFERENCES) == (PREFIX, (SECRET_PREFIX, CERTIFICATE_PREFIX))


def test_each_other_name_is_refused_with_the_nearest_known_one(template: Path) -> None:
    lines = ["CONNECTOR_TABLE=t", "# CONNECTOR_COMMENT=1", "  export CONNECTOR_SORCE_TOPIC = s", "connector_mode=KEY"]
    (template.parent / ".env").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(VariablesError) as refused:
        check(template, {"CONNECTOR_TABEL": "secret", "CONNECTOR_XYZZY_QUUX": "", "HOME": "/"})
    assert str(refused.value).splitlines()[1:-1] == [
        "  - CONNECTOR_TABEL in the shell: no such setting; did you mean CONNECTOR_TABLE?",
        "  - CONNECTOR_XYZZY_QUUX in the shell: no such setting; docs/CONFIGURATION.md lists all settings",
        "  - CONNECTOR_SORCE_TOPIC in .env, line 3: no such setting; did you mean CONNECTOR_SOURCE_TOPIC?",
        "  - connector_mode in .env, line 4: no such setting; did you mean CONNECTOR_MODE?",
    ]


def test_variables_without_the_prefix_are_compared_too(template: Path) -> None:
    (template.parent / ".env").write_text("STREAM_ENABLD=false\nMY_OWN=1\nMY_STREAM_ENABLED=1\n", encoding="utf-8")
    with pytest.raises(VariablesError) as refused:
        check(template, {"STREAM_ENABLE": "false", "stream_enabled": "", "VSWITCH_ID": "[]", "CONECTOR_TABLE": "t"})
    assert str(refused.value).splitlines()[1:-1] == [
        "  - STREAM_ENABLE in the shell: no such setting; did you mean STREAM_ENABLED?",
        "  - stream_enabled in the shell: no such setting; did you mean STREAM_ENABLED?",
        "  - VSWITCH_ID in the shell: no such setting; did you mean VSWITCH_IDS?",
        "  - CONECTOR_TABLE in the shell: no such setting; did you mean CONNECTOR_TABLE?",
        "  - STREAM_ENABLD in .env, line 1: no such setting; did you mean STREAM_ENABLED?",
        "  - MY_STREAM_ENABLED in .env, line 3: no such setting; did you mean STREAM_ENABLED?",
    ]


FOREIGN = """
    _ BATCH_ID BATCH_SIZE CI COLUMNS CONTROL CPUS CPU_COUNT CPU_LIMIT DEBUG DOCKER_HOST EDITOR ENDPOINT
    GITHUB_ACTIONS GITHUB_REF GITHUB_RUN_ID GITHUB_SHA GITHUB_TOKEN GOMAXPROCS GOPATH GPU HOME HOSTNAME JAVA_HOME
    KAFKA_BROKERS KAFKA_HOME KAFKA_OPTS KUBECONFIG LANG LC_ALL LD_LIBRARY_PATH LOG LOGLEVEL LOGNAME LOG_DIR LOG_FILE
    LOG_FORMAT LS_COLORS MAKEFLAGS MAKELEVEL MEMORY MEMORY_LIMIT NCPU NODE_ENV NO_PROXY OLDPWD PAGER PATH PIP_INDEX_URL
    PIP_LOG_LEVEL PROJECT PROJECT_NAME PS1 PWD PYTHONPATH REGION RUNNER_OS RUNTIME_DIR RUNTIME_DIRECTORY SECURITY_TOKEN
    SHELL SHLVL SSH_AUTH_SOCK STREAM TERM TMPDIR TZ USER UV_LOG_LEVEL VERSION VIRTUAL_ENV XDG_RUNTIME_DIR http_proxy
    https_proxy npm_config_loglevel no_proxy
"""


def test_the_shells_variables_of_other_programs_are_not_reported(template: Path) -> None:
    check(template, dict.fromkeys([*FOREIGN.split(), "CPU", "RUNTIME", "LOG_LEVEL", "ALLOWED_ADDRESSES"], "1"))


def test_lines_that_look_like_assignments_but_are_skipped_are_reported(template: Path) -> None:
    lines = [
        "# CONNECTOR MODE=KEY",
        "CONNECTOR TABEL=secret",
        "BATCH_SECONDS='1",
        "2'",
        "CONNECTOR_MODE:KEY",
        "",
        "no assignment",
        "set CPU = 2 # cores",
    ]
    (template.parent / ".env").write_text("\r\n".join(lines), encoding="utf-8")
    with pytest.raises(VariablesError) as refused:
        check(template, {})
    skipped = "expected NAME=value, found a line that Serverless Devs skips; correct the line, or put # before it"
    assert str(refused.value).splitlines()[1:-1] == [f"  - .env, line {line}: {skipped}" for line in (2, 5, 8)]


def test_a_variable_that_serverless_devs_has_read_from_the_file_is_reported_once(template: Path) -> None:
    """A command that Serverless Devs runs has the file's variables in its environment."""
    (template.parent / ".env").write_text("CONNECTOR_PARTITON=DAY\n", encoding="utf-8")
    with pytest.raises(VariablesError) as refused:
        check(template, environment(template, {}))
    assert str(refused.value).splitlines()[1:-1] == [
        "  - CONNECTOR_PARTITON in .env, line 1: no such setting; did you mean CONNECTOR_PARTITION?"
    ]


def test_a_file_that_serverless_devs_would_prefer_is_refused(template: Path) -> None:
    (template.parent / "functions/sink/.env").write_text("CONNECTOR_TABLE=other\n", encoding="utf-8")
    with pytest.raises(
        VariablesError, match=r"functions/sink/\.env: Serverless Devs would read this file before \.env"
    ):
        check(template, {})


def test_a_template_knows_the_variables_of_the_one_that_it_extends(template: Path) -> None:
    smaller = template.with_name("smaller.yml")
    smaller.write_text("edition: 3.0.0\nextend: ./template.yml\n", encoding="utf-8")
    check(smaller, {"CONNECTOR_TABLE": "t"})
    with pytest.raises(VariablesError, match="did you mean CONNECTOR_TABLE"):
        check(smaller, {"CONNECTOR_TABEL": "t"})


def given_in_file(name: str) -> str:
    return f"{name}'s place"


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("CONNECTOR_PARTITION", "DAYY", "expected one of HOUR, DAY, MINUTE, found 'DAYY'"),
        ("STREAM_ENABLED", "no", "expected true or false, found 'no'"),
        ("STREAM_ENABLED", "1", "expected true or false, found '1'"),
        ("VSWITCH_IDS", "vsw-a", "expected a JSON list such as [\"vsw-...\"], found 'vsw-a'"),
        ("BATCH_RECORDS", "10001", "expected a whole number from 1 to 10000, found '10001'"),
        ("BATCH_SECONDS", "1.5", "expected a whole number from 0 to 15, found '1.5'"),
        ("MEMORY_SIZE", "1000", "expected a whole number from 128 to 32768 in steps of 64, found '1000'"),
        ("CPU", "17", "expected a number from 0.05 to 16, found '17'"),
        ("RUNTIME", "python3.11", "expected python3.10 or python3.12, found 'python3.11'"),
        ("KAFKA_NETWORK", "default", "expected Default or PublicNetwork, found 'default'"),
        ("LAYER_CONNECTOR_VERSION", "0", "expected the number of a published version, found '0'"),
    ],
)
def test_a_wrong_value_is_reported_with_its_place(name: str, value: str, fault: str) -> None:
    assert list(values.faults({name: value}, given_in_file)) == [f"{name} in {name}'s place: {fault}"]


def test_right_and_empty_values_are_accepted() -> None:
    given = {
        "CONNECTOR_PARTITION": "DAY",
        "STREAM_ENABLED": "false",
        "VSWITCH_IDS": '["vsw-a"]',
        "BATCH_SECONDS": "0",
        "MEMORY_SIZE": "2048",
        "CPU": "0.5",
        "RUNTIME": "python3.12",
        "LAYER_CONNECTOR_VERSION": "12",
    }
    assert list(values.faults(given, given_in_file)) == []
    assert list(values.faults(dict.fromkeys(given, ""), given_in_file)) == []


NETWORK = {"CONNECTOR_VPC_ID": "vpc-a", "VSWITCH_IDS": '["vsw-a"]', "SECURITY_GROUP_ID": "sg-a"}


@pytest.mark.parametrize("absent", [{"VSWITCH_IDS": "[]"}, {"CONNECTOR_VPC_ID": ""}, {"SECURITY_GROUP_ID": ""}])
def test_a_deploy_needs_the_whole_network_or_none(absent: dict[str, str]) -> None:
    assert list(values.incomplete(NETWORK)) == list(values.incomplete({})) == []
    (fault,) = values.incomplete({**NETWORK, **absent})
    assert fault.startswith(f"{next(iter(absent))}: expected together with the rest of")


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({"LOG_PROJECT": "p", "LOG_STORE": "s"}, True),
        ({"LOG_PROJECT": "none"}, True),
        ({"LOG_PROJECT": "auto"}, True),
        ({"LOG_PROJECT": "p"}, False),
        ({"LOG_PROJECT": "none", "LOG_STORE": "s"}, False),
        ({"LOG_STORE": "s"}, False),
    ],
)
def test_a_project_of_logs_needs_its_store(given: dict[str, str], right: bool) -> None:
    assert (list(values.incomplete(given)) == []) is right


def test_the_place_of_a_value_is_the_file_unless_the_shell_has_another(template: Path) -> None:
    (template.parent / ".env").write_text("CONNECTOR_MODE=X\nCONNECTOR_MODE=Y\n", encoding="utf-8")
    assert variables.place(template, {}, "CONNECTOR_MODE") == ".env, line 2"
    assert variables.place(template, {"CONNECTOR_MODE": "Y"}, "CONNECTOR_MODE") == ".env, line 2"
    assert variables.place(template, {"CONNECTOR_MODE": "Z"}, "CONNECTOR_MODE") == "the shell"


def test_the_check_needs_no_other_packages(template: Path) -> None:
    """Serverless Devs runs it before each deploy, with whatever Python there is."""
    program = f"import sys; sys.path.insert(0, {str(TEMPLATE.parent)!r}); from deployment.__main__ import main; "
    checked = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{program}sys.exit(main(['check']))"],
        cwd=template.parent,
        env={"CONNECTOR_VPC_ID": "vpc-a", "CONNECTOR_MODE": "X"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 1
    assert "CONNECTOR_MODE in the shell: expected one of" in checked.stderr


@pytest.mark.parametrize("words", [["check", "template.yml"], ["run", "--", "true"]])
def test_the_deployments_commands_refuse_them(
    words: list[str], template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(template.parent)
    (template.parent / ".env").write_text("\nCONNECTOR_PARTITON=DAY\n", encoding="utf-8")
    assert deployment(words) == 1
    assert (
        "CONNECTOR_PARTITON in .env, line 2: no such setting; did you mean CONNECTOR_PARTITION?"
        in capsys.readouterr().err
    )


def test_a_command_runs_with_the_files_variables_and_the_shells_win(template: Path) -> None:
    (template.parent / ".env").write_text("CONNECTOR_TABLE=file\nCONNECTOR_REGION='cn-beijing'\n", encoding="utf-8")
    printed = subprocess.run(
        [sys.executable, "-m", "deployment", "run", "--", "printenv", "CONNECTOR_TABLE", "CONNECTOR_REGION"],
        cwd=template.parent,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TEMPLATE.parent), "CONNECTOR_TABLE": "shell"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.split() == ["shell", "cn-beijing"]


def test_without_a_template_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    check(tmp_path / "template.yml", {"CONNECTOR_TABEL": "t"})


@pytest.mark.parametrize("words", [["up"], ["demo"], ["provision", "plan"], ["policy"]])
def test_commands_that_take_settings_refuse_them(
    words: list[str], template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(template.parent)
    monkeypatch.setenv("CONNECTOR_TABEL", "t")
    assert main(words) == 1
    assert "CONNECTOR_TABEL in the shell: no such setting; did you mean CONNECTOR_TABLE?" in capsys.readouterr().err
