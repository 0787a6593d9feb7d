"""The file system that a function finds: its own /tmp of a limited size, and nothing else that it could change."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from local_emulator.function_compute.instances import FunctionInstance
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment
from tests.function_instances import function, outcome_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emulator.function_compute.template import Function

SOURCE = """
import io, os, pathlib, shutil, tempfile

TMP = tempfile.gettempdir()

def handler(event, context):
    try:
        exec(event.decode())
    except OSError as error:
        return [error.errno, str(error)]
    return [0, ""]
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[FunctionInstance]:
    made = started(tmp_path, function(tmp_path, SOURCE, props={"diskSize": 1}))
    yield made
    made.kill()


def started(folder: Path, made: Function) -> FunctionInstance:
    layer = folder / "layer"
    layer.mkdir()
    (layer / "of_the_layer.py").write_text("", encoding="utf-8")
    return FunctionInstance(made, InstanceEnvironment("1", Credentials("id", "secret"), (layer,)))


def attempt(instance: FunctionInstance, statement: str) -> tuple[int, str]:
    """Run a statement in the function; the number and the text of its OSError, 0 if it had none."""
    number, text = outcome_value(instance.invoke(statement.encode(), "1-request"))
    return number, text


def test_a_relative_path_is_one_of_the_code_folder_and_refused_in_the_services_words(
    instance: FunctionInstance,
) -> None:
    assert attempt(instance, "open('.settings', 'w')") == (errno.EROFS, "[Errno 30] Read-only file system: '.settings'")
    assert attempt(instance, "open('index.py').read()") == (0, "")


@pytest.mark.parametrize(
    "statement",
    [
        "open('index.py', 'a')",
        "open(b'index.py', 'a')",
        "io.FileIO(pathlib.Path('index.py'), 'a')",
        "os.remove(b'index.py')",
        "os.open('new', os.O_CREAT | os.O_RDONLY)",
        "pathlib.Path('new').mkdir()",
        "os.remove('index.py')",
        "shutil.rmtree('.')",
        "os.rename('index.py', TMP + '/index.py')",
        "open(TMP + '/x', 'w').close(); os.rename(TMP + '/x', 'index.py')",
        "os.chmod('index.py', 0o600)",
        "os.utime('index.py')",
        "os.truncate('index.py', 0)",
        "os.symlink('index.py', 'other')",
        "os.symlink(os.getcwd(), TMP + '/out'); open(TMP + '/out/new', 'w')",
        "import of_the_layer; open(of_the_layer.__file__, 'w')",
        "import of_the_layer; os.remove(of_the_layer.__file__)",
        "open(os.__file__, 'a')",
        "open('/new-in-the-root', 'w')",
    ],
)
def test_code_layers_and_all_else_are_read_only(instance: FunctionInstance, tmp_path: Path, statement: str) -> None:
    before = sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts)
    number, text = attempt(instance, statement)
    assert (number, text[:33]) == (errno.EROFS, "[Errno 30] Read-only file system:")
    assert sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts) == before
    assert (tmp_path / "code/index.py").read_text(encoding="utf-8") == SOURCE


@pytest.mark.parametrize(
    "statement",
    [
        "pathlib.Path(TMP, 'x').write_text('x'); os.remove(TMP + '/x')",
        "os.makedirs(TMP + '/a/b'); shutil.rmtree(TMP + '/a')",
        "open(os.path.expanduser('~/.profile-of-a-library'), 'w').close()",
        "open('/dev/null', 'w').write('x')",
        "os.fdopen(os.dup(1), 'w').write('')",
        "name = os.fsencode(TMP + '/x'); open(name, 'w').close(); os.chmod(name, 0o600); os.remove(name)",
        "pathlib.Path('/tmp/fc-a-path-that-is-written-out').touch(); os.remove('/tmp/fc-a-path-that-is-written-out')",
    ],
)
def test_tmp_is_writable(instance: FunctionInstance, statement: str) -> None:
    assert attempt(instance, statement) == (0, "")


def test_a_full_disk_is_reported_until_something_is_removed(instance: FunctionInstance) -> None:
    fill = "for number in range(4): open(f'{TMP}/{number}', 'wb').write(bytes(300_000))"
    assert attempt(instance, fill) == (0, "")
    one_more = "import time; time.sleep(0.2); open(TMP + '/more', 'w')"
    number, text = attempt(instance, one_more)
    assert (number, text[:35]) == (errno.ENOSPC, "[Errno 28] No space left on device:")
    assert attempt(instance, "os.remove(TMP + '/0'); open(TMP + '/more', 'w')") == (0, "")


def test_no_file_exceeds_the_disk(instance: FunctionInstance) -> None:
    number, _ = attempt(instance, "open(TMP + '/large', 'wb').write(bytes(2 * 1024 * 1024))")
    assert number == errno.EFBIG
