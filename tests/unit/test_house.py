"""The rules of docs/DESIGN.md that no linter knows: which floor may import which, and how long a file may be."""

from __future__ import annotations

import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import imported, modules
from tests.mutants import MODULES, SOURCES
from tests.run import FULLY_COVERED

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.quick

PACKAGE = {"maxcompute_sink", "provisioning", "kafka_maxcompute", "fc_powertools", "index"}
# What the files below a folder may import of the project itself.
ALLOWED = {
    "functions/sink/index.py": {"maxcompute_sink", "kafka_maxcompute", "fc_powertools"},
    "functions/sink/maxcompute_sink": {"maxcompute_sink", "kafka_maxcompute", "fc_powertools"},
    "functions/provision/index.py": {"provisioning", "kafka_maxcompute", "fc_powertools"},
    "functions/provision/provisioning": {"provisioning", "kafka_maxcompute", "fc_powertools"},
    "layers/connector/python/kafka_maxcompute": {"kafka_maxcompute", "fc_powertools"},
    "layers/powertools/python/fc_powertools": {"fc_powertools"},
    "local_emulator/foundation": {"local_emulator.foundation"},
    "local_emulator/maxcompute": {"local_emulator.maxcompute", "local_emulator.foundation"},
    "local_emulator": {"local_emulator", "deployment.dotenv", "deployment.variables"},
    "deployment/dotenv.py": set(),
    "deployment/variables.py": {"deployment.dotenv"},
    "deployment": {"deployment", "kafka_maxcompute", "fc_powertools"},
}

# A query of SQL has expressions and sources, which may be queries themselves.
RECURSION = {f"local_emulator.maxcompute.sql.{name}" for name in ("expressions", "query", "sources")}


def sources(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def own(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in PACKAGE | {"deployment", "local_emulator", "tests"}


def allowed(name: str, roots: set[str]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


@pytest.mark.parametrize("place", ALLOWED)
def test_imports_run_down_the_floors(place: str) -> None:
    found = sources(place)
    assert found
    wrong = {
        f"{source.relative_to(ROOT)} imports {name}"
        for source in found
        for name in imported(source)
        if own(name) and not allowed(name, ALLOWED[place])
    }
    assert wrong == set()


def test_the_check_sees_an_import_across(tmp_path: Path) -> None:
    source = tmp_path / "wrong.py"
    source.write_text("def f():\n    from local_emulator.kafka import embedded\n", encoding="utf-8")
    assert {name for name in imported(source) if own(name)} == {"local_emulator.kafka.embedded"}


def without_circles(imports: dict[str, set[str]]) -> None:
    """Raise `graphlib.CycleError` if modules need one another."""
    graphlib.TopologicalSorter(imports).prepare()


def test_no_modules_need_one_another() -> None:
    found = modules()
    imports = {
        module: {name if name in found else name.rpartition(".")[0] for source in files for name in imported(source)}
        & found.keys() - {module}
        for module, files in found.items()
    }
    for module in RECURSION:
        imports[module] -= RECURSION
    without_circles(imports)


def test_the_check_sees_a_circle() -> None:
    with pytest.raises(graphlib.CycleError):
        without_circles({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


def test_no_source_is_longer_than_500_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked()
        if path.suffix == ".py" and (lines := len(path.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert long == {}


def test_no_module_is_named_for_no_thing() -> None:
    assert [path for path in tracked() if path.stem in {"utils", "helpers", "common", "base", "misc"}] == []


def test_the_emulator_is_not_loaded_by_the_package() -> None:
    """Not only by name: nothing that the sink imports brings in a part of the local cloud."""
    folders = ["functions/sink", "layers/connector/python", "layers/powertools/python"]
    program = "import sys, index; print([m for m in sys.modules if m.split('.')[0] == 'local_emulator'])"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / "functions/sink",
        env={"PYTHONPATH": ":".join(str(ROOT / folder) for folder in folders), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


def test_the_files_that_have_to_be_covered_are_there() -> None:
    """A name that nothing has would be left out of the report in silence."""
    assert [name for name in FULLY_COVERED if not (ROOT / name).is_file()] == []
    assert [name for name in MODULES if not any((ROOT / source / name).is_file() for source in SOURCES)] == []
