"""The archives of the layers: which pins, which files, compiled how, and the same bytes each time."""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("layers_build", ROOT / "layers/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


build = _load()

PINS = """\
one==1 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
two==1 ; python_full_version < '3.11' \\
    --hash=sha256:bb
two==2 ; python_full_version >= '3.11' \\
    --hash=sha256:cc
three==3 \\
    --hash=sha256:dd
"""


@pytest.mark.quick
@pytest.mark.parametrize(("minor", "kept", "left"), [(10, "two==1 \\", "two==2"), (12, "two==2 \\", "two==1")])
def test_the_pins_are_those_of_the_runtime(minor: int, kept: str, left: str) -> None:
    pins = build.pins_for(PINS, minor)
    assert kept in pins
    assert left not in pins
    assert pins.startswith("one==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:ab\n")
    assert pins.endswith("three==3 \\\n    --hash=sha256:dd\n")
    assert "python_full_version" not in pins


@pytest.mark.quick
def test_a_marker_that_is_not_known_is_not_guessed() -> None:
    with pytest.raises(build.BuildError, match="expected a marker such as"):
        build.pins_for("one==1 ; sys_platform == 'win32' \\\n    --hash=sha256:aa\n", 10)


@pytest.mark.quick
@pytest.mark.parametrize("minor", [10, 12])
def test_the_projects_own_pins_name_each_package_once(minor: int) -> None:
    text = (ROOT / "layers/dependencies/requirements.txt").read_text(encoding="utf-8")
    names = [line.split("==")[0] for line in build.pins_for(text, minor).splitlines() if not line.startswith(" ")]
    assert sorted(set(names)) == names
    assert {"pyarrow", "pyodps", "msgspec"} < set(names)
    assert {"numpy", "pandas"}.isdisjoint(names)


@pytest.mark.quick
def test_pruning_keeps_what_runs(tmp_path: Path) -> None:
    kept = [
        "pyarrow/__init__.py",
        "pyarrow/lib.cpython-310-x86_64-linux-gnu.so",
        "pyarrow/_compute.cpython-310-x86_64-linux-gnu.so",
        "pyarrow/libarrow.so.2500",
        "pyarrow/libarrow_python.so.2500",
        "odps/tunnel/hasher_c.cpython-310-x86_64-linux-gnu.so",
        "odps/core.py",
        "pyodps-0.13.2.dist-info/METADATA",
        "pyarrow-25.0.1.dist-info/licenses/LICENSE.txt",
    ]
    gone = [
        "pyarrow/_flight.cpython-310-x86_64-linux-gnu.so",
        "pyarrow/libarrow_flight.so.2500",
        "pyarrow/libarrow_python.so",
        "pyarrow/libarrow_python.so.2500.1.0",
        "pyarrow/array.pxi",
        "pyarrow/include/arrow/api.h",
        "pyarrow/tests/test_array.py",
        "odps/static/ui/main.js",
        "odps/src/types_c.pyx",
        "examples/one.py",
        "bin/pyou",
        "pyodps-0.13.2.dist-info/RECORD",
    ]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert build.prune(tmp_path) == 5 * len(gone)
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()) == sorted(kept)


@pytest.mark.quick
def test_numpy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    with pytest.raises(build.BuildError, match="expected dependencies without numpy"):
        build.prune(tmp_path)


@pytest.mark.quick
def test_compiled_files_do_not_depend_on_the_time_of_their_source(tmp_path: Path) -> None:
    module = tmp_path / "python/module.py"
    module.parent.mkdir()
    module.write_text("def where():\n    return where.__code__.co_filename\n", encoding="utf-8")
    build.compile_all(tmp_path, Path(sys.executable))
    (compiled,) = tmp_path.rglob("*.pyc")
    unchecked_hash = 0b01  # PEP 552: bit 0 hash instead of time, bit 1 look at the source
    assert struct.unpack("<I", compiled.read_bytes()[4:8])[0] == unchecked_hash
    assert b"/opt/python/module.py" in compiled.read_bytes()


@pytest.mark.quick
def test_a_module_that_does_not_compile_is_reported(tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    (tmp_path / "python/module.py").write_text("print 'two'\n", encoding="utf-8")
    with pytest.raises(build.BuildError, match="module"):
        build.compile_all(tmp_path, Path(sys.executable))


@pytest.mark.quick
def test_the_archive_is_the_same_whenever_it_is_built(tmp_path: Path) -> None:
    archives = []
    for turn, names in enumerate((["b.py", "a.py"], ["a.py", "b.py"])):
        stage = tmp_path / f"stage{turn}"
        (stage / "python").mkdir(parents=True)
        for name in names:
            (stage / "python" / name).write_text(name, encoding="utf-8")
            os.utime(stage / "python" / name, (turn, turn))
        archives.append(tmp_path / f"{turn}.zip")
        build.pack(stage, archives[-1])
    first, second = (archive.read_bytes() for archive in archives)
    assert first == second
    with zipfile.ZipFile(archives[0]) as packed:
        assert packed.namelist() == ["python/a.py", "python/b.py"]
        assert {entry.external_attr >> 16 for entry in packed.infolist()} == {0o644}


@pytest.mark.quick
def test_the_runtimes_python_is_found_or_missed() -> None:
    own = build.find_interpreter(f"python3.{sys.version_info[1]}")
    assert own == Path(sys.executable)
    assert build.find_interpreter("python3.99") is None


@pytest.mark.quick
def test_an_archive_is_built_again_only_if_something_that_decides_about_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "layers/own/python").mkdir(parents=True)
    source = tmp_path / "layers/own/python/module.py"
    source.write_text("A = 1\n", encoding="utf-8")
    (tmp_path / "layers/build.py").write_text("", encoding="utf-8")
    for name, folder in {"ROOT": tmp_path, "STAGE": tmp_path / "build", "DIST": tmp_path / "dist"}.items():
        monkeypatch.setattr(build, name, folder)
    monkeypatch.setattr(build, "__file__", str(tmp_path / "layers/build.py"))
    own, python = build.Layer("own", "python3.10"), Path(sys.executable)
    assert not build.is_built(own, None)
    build.build(own, None)
    own.digest.write_text(build.inputs(own, None), encoding="utf-8")
    assert build.is_built(own, None)
    (source.parent / "__pycache__").mkdir()
    (source.parent / "__pycache__/module.cpython-310.pyc").write_bytes(b"compiled")
    assert build.is_built(own, None)
    assert not build.is_built(own, python)
    assert not build.is_built(build.Layer("own", "python3.12"), None)
    source.write_text("A = 2\n", encoding="utf-8")
    assert not build.is_built(own, None)
    source.write_text("A = 1\n", encoding="utf-8")
    assert build.is_built(own, None)
    own.archive.unlink()
    assert not build.is_built(own, None)


@pytest.mark.quick
def test_the_next_steps_are_for_the_region_of_the_connector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_REGION", "cn-beijing")
    assert build.next_steps([build.Layer("connector", "python3.10")]).count("--region cn-beijing") == 1


@pytest.mark.quick
def test_the_next_steps_fit_the_template() -> None:
    layers = [build.Layer(name, "python3.12") for name in ("powertools", "connector", "dependencies")]
    steps = build.next_steps(layers)
    template = (ROOT / "template.yml").read_text(encoding="utf-8")
    for layer in layers:
        variable = f"LAYER_{layer.name.upper()}_VERSION"
        assert f"/{layer.published_name}/versions/${{env('{variable}', '1')}}" in template
        assert f"--layer-name {layer.published_name} " in steps
        assert f"\n  {variable}=" in steps
    assert "RUNTIME=python3.12 s deploy -t template.yml" in steps
    assert "make deploy publishes" in steps


def test_the_sink_runs_on_the_pruned_dependencies() -> None:
    """With this machine's Python: all modules of the sink import, and pyarrow compresses, after pruning."""
    installed = ROOT / "build/layers/dependencies/python"
    assert installed.is_dir(), "run: make build/layers/dependencies/python/.stamp"
    own = [ROOT / "layers" / name / "python" for name in ("powertools", "connector")]
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as scratch:  # the same file system, for hard links
        pruned = Path(scratch, "python")
        shutil.copytree(installed, pruned, copy_function=os.link)
        assert build.prune(pruned) > 40 * build.MB
        build.check_imports([*own, pruned], Path(sys.executable))
        shutil.rmtree(pruned / "tenacity")
        with pytest.raises(build.BuildError, match="No module named 'tenacity'"):
            build.check_imports([*own, pruned], Path(sys.executable))
