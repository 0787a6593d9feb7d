"""What `make` sets up: without a warning, and whole again after an install that was cut off."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT, LAYER = ".venv/run.stamp", "build/layers/dependencies/python/.stamp"
LIBRARY = f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
LAYERS_LIBRARY = "build/layers/dependencies/python"


def wheel(folder: Path, name: str, files: dict[str, str]) -> str:
    """Write a wheel and return its pin; `files` are what it installs besides a module of its name."""
    info = f"{name}-1.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    everything = {f"{name}/__init__.py": "", f"{name}/part.py": "", **files, **about}
    record = "".join(f"{path},,\n" for path in (*everything, f"{info}/RECORD"))
    file = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as packed:
        for path, text in {**everything, f"{info}/RECORD": record}.items():
            packed.writestr(path, text)
    return f"{name}==1 --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The Makefile, with locks of two small wheels: PyODPS's has a folder bin, the other one a command."""
    wheels, folder = tmp_path / "wheels", tmp_path / "project"
    wheels.mkdir()
    (folder / "layers/dependencies").mkdir(parents=True)
    one = wheel(wheels, "one", {"bin/tool": "#!/bin/sh\n"})
    two = wheel(wheels, "two", {"two-1.data/scripts/command": "#!/bin/sh\n"})
    shutil.copy2(ROOT / "Makefile", folder)
    (folder / "requirements-build.txt").write_text(one, encoding="utf-8")
    (folder / "requirements.txt").write_text(two, encoding="utf-8")
    (folder / "layers/dependencies/requirements.txt").write_text(one + two, encoding="utf-8")
    return folder


def make(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `make` with this Python and the wheels beside the project alone."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project.parent / "wheels"), "PIP_CONFIG_FILE": os.devnull}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTHON"))}
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return subprocess.run(
        ["make", f"PYTHON={base}", *words],
        cwd=project,
        env={**environment, **offline},
        capture_output=True,
        text=True,
        check=False,
    )


def cut_off(project: Path, target: str, wreck: str) -> None:
    """Have the install of a target leave a wreck of itself, and kill the shell that it runs in."""
    program = f"import os, pathlib, signal; {wreck}; os.kill(os.getppid(), signal.SIGKILL)"
    (project.parent / "install.py").write_text(program, encoding="utf-8")
    ended = make(project, f"INSTALL={sys.executable} {project.parent / 'install.py'} && true", target)
    assert ended.returncode == 2
    assert not (project / target).exists()


def test_it_sets_up_without_a_warning_and_a_layer_has_no_commands(project: Path) -> None:
    done = make(project, ENVIRONMENT, LAYER)
    assert (done.returncode, done.stderr) == (0, "")
    assert "arning" not in done.stdout
    assert {file.name for file in (project / LAYERS_LIBRARY).iterdir()} >= {"one", "two", ".stamp"}
    assert not (project / LAYERS_LIBRARY / "bin").exists()
    again = make(project, ENVIRONMENT, LAYER)
    assert (again.returncode, again.stderr) == (0, "")
    assert "Installing" not in again.stdout


def test_an_install_that_was_cut_off_is_done_again_from_the_beginning(project: Path) -> None:
    # What pip takes for an installed package, though a module of it is missing.
    about = "Metadata-Version: 2.1\\nName: two\\nVersion: 1\\n"
    half = f"info = pathlib.Path('{LIBRARY}/two-1.dist-info'); info.mkdir(); (info / 'METADATA').write_text('{about}')"
    cut_off(project, ENVIRONMENT, half)
    cut_off(project, LAYER, f"pathlib.Path('{LAYERS_LIBRARY}/rest').mkdir(parents=True)")
    done = make(project, ENVIRONMENT, LAYER)
    assert (done.returncode, done.stderr) == (0, "")
    assert (project / LIBRARY / "two/part.py").exists()
    assert (project / LAYERS_LIBRARY / "two/part.py").exists()
    assert not (project / LAYERS_LIBRARY / "rest").exists()

    # An environment that was whole isn't, if an install into it was cut off.
    shutil.copy2(project / "requirements.txt", project / "requirements-dev.txt")
    cut_off(project, ".venv/dev.stamp", f"pathlib.Path('{LIBRARY}/two/part.py').unlink()")
    done = make(project, ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert (project / LIBRARY / "two/part.py").exists()


def test_an_environment_that_is_a_link_is_used_as_it_is(project: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    (others / "bin").mkdir(parents=True)
    (others / "bin/python").symlink_to(sys.executable)
    (others / "run.stamp").touch()
    os.utime(others / "run.stamp", (0, 0))
    before = {path: path.lstat().st_mtime_ns for path in others.rglob("*")}
    (project / ".venv").symlink_to(others)
    done = make(project, ENVIRONMENT, ".venv/dev.stamp", ".venv/mutants.stamp")
    assert (done.returncode, done.stderr) == (0, "")
    assert {path: path.lstat().st_mtime_ns for path in others.rglob("*")} == before


def test_an_environment_whose_making_was_cut_off_is_made_again(project: Path) -> None:
    assert make(project, ".venv/bin/python").returncode == 0
    (project / ".venv/new.stamp").unlink()
    shutil.rmtree(project / LIBRARY / "pip")
    done = make(project, ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert (project / LIBRARY / "two/part.py").exists()
