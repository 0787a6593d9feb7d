"""Misspelt settings in the shell and in .env, which nothing would notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_maxcompute.settings.setting import CERTIFICATE_PREFIX, SECRET_PREFIX
from kafka_maxcompute.settings.settings import PREFIX, SETTINGS
from local_emulator import variables
from local_emulator.__main__ import main
from local_emulator.variables import VariablesError, check

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
        "  - CONNECTOR_TABEL in the environment: no such setting; did you mean CONNECTOR_TABLE?",
        "  - CONNECTOR_XYZZY_QUUX in the environment: no such setting; docs/CONFIGURATION.md lists all settings",
        "  - CONNECTOR_SORCE_TOPIC in .env: no such setting; did you mean CONNECTOR_SOURCE_TOPIC?",
        "  - connector_mode in .env: no such setting; did you mean CONNECTOR_MODE?",
    ]


def test_without_a_template_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    check(tmp_path / "template.yml", {"CONNECTOR_TABEL": "t"})


@pytest.mark.parametrize("words", [["up"], ["demo"], ["provision", "plan"], ["policy"]])
def test_commands_that_take_settings_refuse_them(
    words: list[str], template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(template.parent)
    monkeypatch.setenv("CONNECTOR_TABEL", "t")
    assert main(words) == 1
    assert (
        "CONNECTOR_TABEL in the environment: no such setting; did you mean CONNECTOR_TABLE?" in capsys.readouterr().err
    )
