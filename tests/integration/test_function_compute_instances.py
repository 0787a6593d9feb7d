"""What a function finds inside an instance, and the instance's life from initializer to pre-stop hook."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.function_compute import layers
from local_emulator.function_compute.errors import MissingLayerError
from local_emulator.function_compute.instances import FunctionInstance
from local_emulator.function_compute.pool import Pool
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment
from local_emulator.function_compute.template import Hook
from tests.function_instances import function, gone, invoke, outcome_value, result, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., Pool]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Pool] = []

    def pool(source: str, *folders: Path, log_file: Path | None = None, **changes: Any) -> Pool:
        surroundings = InstanceEnvironment("1880000000000000", Credentials("id", "secret", "token"), folders)
        made.append(Pool(function(tmp_path, source, **changes), lambda: surroundings, 2, log_file))
        return made[-1]

    yield pool
    for each in made:
        each.stop()


def test_only_code_layers_and_the_standard_library_can_be_imported(make: Make, tmp_path: Path) -> None:
    source = """
import importlib.util, sys
def handler(event, context):
    names = ["aiohttp", "local_emulator", "duckdb", "pip", "yaml", "fc2"]
    return {"path": sys.path, "found": [name for name in names if importlib.util.find_spec(name)]}
"""
    layer = tmp_path / "layer"
    layer.mkdir()
    seen = result(make(source, layer))
    assert seen["found"] == []
    assert seen["path"][:2] == [str(tmp_path / "code"), str(layer)]
    library = Path(sysconfig.get_path("stdlib")).resolve()
    for folder in map(Path, seen["path"][2:]):
        assert folder.suffix == ".zip" or folder.resolve().is_relative_to(library)


def test_the_code_comes_before_the_layers_and_earlier_layers_before_later(make: Make, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.py").write_text("raise AssertionError\n", encoding="utf-8")
        (tmp_path / name / "which.py").write_text(f"NAME = {name!r}\n", encoding="utf-8")
    source = "import which\ndef handler(event, context):\n    return [which.NAME]\n"
    assert result(make(source, tmp_path / "first", tmp_path / "second")) == ["first"]


def test_the_environment_is_the_templates_and_the_services(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THIS_MACHINE", "1")
    source = "import os\ndef handler(event, context):\n    return [dict(os.environ), os.getcwd()]\n"
    pool = make(source, environment={"CONNECTOR_NAME": "orders"})
    environment, folder = result(pool)
    instance_id, scratch = environment.pop("FC_INSTANCE_ID"), environment.pop("TMPDIR")
    assert instance_id.startswith("c-")
    assert Path(folder) == pool.function.code
    assert environment.pop("HOME") == scratch
    assert environment == {
        "CONNECTOR_NAME": "orders",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "FC_FUNC_CODE_PATH": str(pool.function.code),
        "FC_FUNCTION_NAME": "demo",
        "FC_FUNCTION_HANDLER": "index.handler",
        "FC_FUNCTION_MEMORY_SIZE": "512",
        "FC_REGION": "cn-hangzhou",
        "FC_ACCOUNT_ID": "1880000000000000",
        "FC_CUSTOM_LISTEN_PORT": "9000",
        "FC_VER_ID": "LATEST",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "id",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret",
        "ALIBABA_CLOUD_SECURITY_TOKEN": "token",
    }


def test_a_function_without_a_role_has_no_keys(tmp_path: Path) -> None:
    source = "import os\ndef handler(event, context):\n    return [name for name in os.environ if 'ALIBABA' in name]\n"
    pool = Pool(function(tmp_path, source), lambda: InstanceEnvironment("1", Credentials("", ""), ()), 1, None)
    assert result(pool) == []
    pool.stop()


@pytest.mark.parametrize(("disabled", "expected"), [("Env", ["", "id"]), ("Request", ["id", ""]), ("All", ["", ""])])
def test_keys_can_be_left_out(make: Make, disabled: str, expected: list[str]) -> None:
    source = """
import os
def handler(event, context):
    return [os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", ""), context.credentials.access_key_id]
"""
    assert result(make(source, props={"disableInjectCredentials": disabled})) == expected


CONTEXT = """
def handler(event, context):
    seen = {name: getattr(context, name) for name in ("request_id", "region", "account_id")}
    function = context.function
    seen["function"] = [function.name, function.handler, function.memory, function.timeout]
    for name in ("credentials", "service", "tracing", "log_project", "log_store"):
        if hasattr(context, name):
            value = getattr(context, name)
            seen[name] = value if isinstance(value, str) else vars(value)
    return seen
"""


def test_the_context_of_python_3_10(make: Make) -> None:
    seen = result(make(CONTEXT))
    assert seen["request_id"] == "1-00000000-request"
    assert (seen["region"], seen["account_id"]) == ("cn-hangzhou", "1880000000000000")
    assert seen["function"] == ["demo", "index.handler", 512, 20]
    assert seen["credentials"] == {"access_key_id": "id", "access_key_secret": "secret", "security_token": "token"}
    assert (seen["service"]["log_project"], seen["service"]["log_store"]) == ("logs", "store")
    assert set(seen["tracing"]) == {"span_context", "jaeger_endpoint", "span_baggages"}
    assert "log_project" not in seen


def test_the_context_of_python_3_12_has_neither_credentials_nor_service(make: Make) -> None:
    seen = result(make(CONTEXT, runtime="python3.12"))
    assert {"credentials", "service", "tracing"}.isdisjoint(seen)
    assert (seen["log_project"], seen["log_store"]) == ("logs", "store")
    assert seen["function"] == ["demo", "index.handler", 512, 20]


@pytest.mark.parametrize(
    ("runtime", "variable", "part"),
    [("python3.10", "FC_VER_ID", "service"), ("python3.12", "FC_FUNCTION_VERSION", "function")],
)
def test_an_instance_knows_its_functions_version(tmp_path: Path, runtime: str, variable: str, part: str) -> None:
    source = f"""
import os
def handler(event, context):
    return [os.environ[{variable!r}], context.{part}.version_id, context.{part}.qualifier]
"""
    seen = {}
    for version in ("LATEST", "3"):
        environment = InstanceEnvironment("1", Credentials("", ""), (), version)
        instance = FunctionInstance(function(tmp_path, source, runtime=runtime), environment)
        seen[version] = outcome_value(instance.invoke(b"", "1-request"))
        instance.kill()
    assert seen == {"LATEST": ["LATEST", "", "LATEST"], "3": ["3", "3", "3"]}


LIFE = """
import os, pathlib, time
NOTES = pathlib.Path(os.environ["NOTES"])
def note(text):
    with NOTES.open("a") as file:
        file.write(text + "\\n")
def initialize(context):
    note("initialize")
    if "fail-once" in NOTES.read_text() and NOTES.read_text().count("initialize") == 1:
        raise RuntimeError("not now")
    if "hang" in NOTES.read_text():
        time.sleep(600)
def handler(event, context):
    note("handler")
    return []
def pre_stop(context):
    note("pre_stop")
    if "hang" in NOTES.read_text():
        time.sleep(600)
"""


def lifecycle(tmp_path: Path, mode: str) -> dict[str, Any]:
    (tmp_path / "notes").write_text(f"{mode}\n", encoding="utf-8")
    return {
        "environment": {"NOTES": str(tmp_path / "notes")},
        "initializer": Hook("index.initialize", 1),
        "pre_stop": Hook("index.pre_stop", 1),
    }


def notes(tmp_path: Path) -> list[str]:
    return (tmp_path / "notes").read_text(encoding="utf-8").split()[1:]


def test_hooks_run_once_an_instance(make: Make, tmp_path: Path) -> None:
    log_file = tmp_path / "demo.log"
    pool = make(LIFE, log_file=log_file, **lifecycle(tmp_path, "plain"))
    result(pool)
    result(pool)
    pool.stop()
    assert notes(tmp_path) == ["initialize", "handler", "handler", "pre_stop"]
    started, *lines = pool.logs()
    assert started == "FunctionCompute python3 runtime inited."
    assert [line.split()[1] for line in lines] == ["Initialize"] * 2 + ["Invoke"] * 4 + ["PreStop"] * 2
    assert log_file.read_text(encoding="utf-8").splitlines() == pool.logs()


def test_lines_are_in_the_log_while_the_call_that_printed_them_goes_on(make: Make, tmp_path: Path) -> None:
    source = f"""
import os, time
def handler(event, context):
    print("begun")
    print("unfinished", end="")
    while not os.path.exists({str(tmp_path / "go")!r}):
        time.sleep(0.01)
"""
    pool = make(source, log_file=tmp_path / "demo.log")
    with ThreadPoolExecutor(1) as thread:
        busy = thread.submit(invoke, pool)
        wait_for(lambda: pool.logs()[2:] == ["begun"])
        assert (tmp_path / "demo.log").read_text(encoding="utf-8").splitlines()[2:] == ["begun"]
        (tmp_path / "go").touch()
        assert b"begun\nunfinished\nFC Invoke End" in busy.result().log
    assert pool.logs()[2:4] == ["begun", "unfinished"]
    assert pool.logs()[4].startswith("FC Invoke End")


def test_each_instance_gets_keys_of_its_own(tmp_path: Path) -> None:
    source = "import os\ndef handler(event, context):\n    return [os.environ['ALIBABA_CLOUD_ACCESS_KEY_ID']]\n"
    numbers = itertools.count(1)

    def surroundings() -> InstanceEnvironment:
        return InstanceEnvironment("1", Credentials(f"id-{next(numbers)}", "secret"), ())

    for wanted in ("id-1", "id-2"):
        pool = Pool(function(tmp_path, source), surroundings, 2, None)
        assert [result(pool), result(pool)] == [[wanted], [wanted]]
        pool.stop()


def test_a_failed_initializer_fails_the_invocation_and_the_next_has_a_fresh_instance(
    make: Make, tmp_path: Path
) -> None:
    pool = make(LIFE, **lifecycle(tmp_path, "fail-once"))
    outcome = invoke(pool)
    assert outcome.error_type == "InitializationError"
    assert json.loads(outcome.body)["errorMessage"] == "not now"
    result(pool)
    assert notes(tmp_path) == ["initialize", "initialize", "handler"]


def test_a_late_initializer_is_killed(make: Make, tmp_path: Path) -> None:
    outcome = invoke(make(LIFE, **lifecycle(tmp_path, "hang")))
    assert outcome.error_type == "InitializationError"
    assert json.loads(outcome.body)["errorMessage"].startswith("Function timed out after 1 seconds")


def test_a_late_pre_stop_hook_does_not_hold_the_stop(make: Make, tmp_path: Path) -> None:
    pool = make(LIFE, **lifecycle(tmp_path, "hang") | {"initializer": None})
    result(pool)
    pool.stop()
    assert notes(tmp_path) == ["handler", "pre_stop"]


def test_stop_ends_a_busy_instance_too(make: Make, tmp_path: Path) -> None:
    source = f"""
import os, time
def handler(event, context):
    with open({str(tmp_path / "pid")!r}, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)
"""
    pool = make(source, timeout=300)
    with ThreadPoolExecutor(1) as thread:
        busy = thread.submit(invoke, pool)
        wait_for(lambda: pid_in(tmp_path / "pid") is not None)
        pool.stop()
        assert busy.result().error_type == "UnhandledInvocationError"
    assert gone(pid_in(tmp_path / "pid"))


@pytest.mark.parametrize("end", [Pool.retire, Pool.stop])
def test_processes_in_sessions_of_their_own_end_with_the_instance(make: Make, end: Callable[[Pool], None]) -> None:
    source = """
import os, subprocess, sys, time
PROGRAM = [sys.executable, "-c", "import time; time.sleep(600)"]
def handler(event, context):
    child = subprocess.Popen(PROGRAM, start_new_session=True)
    forked = os.fork()
    if not forked:
        os.setsid()
        time.sleep(600)
    return [os.environ["FC_INSTANCE_ID"], child.pid, forked]
"""
    pool = make(source)
    instance, *processes = result(pool)
    others = [
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=env, start_new_session=True)
        for env in ({}, {"FC_INSTANCE_ID": f"{instance}0"}, {"OTHER": f"FC_INSTANCE_ID={instance}"})
    ]
    try:
        assert not any(map(gone, processes))
        end(pool)
        wait_for(lambda: all(map(gone, processes)))
        wait_for(lambda: pool.ended)
        assert [other.poll() for other in others] == [None, None, None]
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_the_scratch_folder_goes_with_the_instance(tmp_path: Path) -> None:
    source = """
import tempfile
def handler(event, context):
    open(f"{tempfile.gettempdir()}/left", "w").close()
    return [tempfile.gettempdir()]
"""
    instance = FunctionInstance(function(tmp_path, source), InstanceEnvironment("1", Credentials("id", "secret"), ()))
    (folder,) = json.loads(instance.invoke(b"", "1-request").body)
    assert Path(folder, "left").exists()
    instance.stop()
    assert not Path(folder).exists()


def test_nothing_is_left_of_an_instance_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    made = replace(function(tmp_path, ""), code=tmp_path / "absent")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError, match="absent"):
        FunctionInstance(made, InstanceEnvironment("1", Credentials("id", "secret"), ()))
    assert list((tmp_path / "scratch").iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("busy", ["True", "os.getppid() == parent", "False"])
def test_nothing_is_left_when_the_emulator_is_killed(tmp_path: Path, busy: str) -> None:
    """By SIGKILL, in a call, as it ends or between calls: neither the instance nor what it started stays."""
    source = f"""
import os, subprocess, sys, time
def handler(event, context):
    folder = os.environ["TMPDIR"] + "/some/folder"
    os.makedirs(folder)
    for number in range(1000):  # which take a moment to be removed
        open(f"{{folder}}/{{number}}", "w").close()
    parent = os.getppid()
    program = [sys.executable, "-c", "import time; time.sleep(600)"]
    child, apart = subprocess.Popen(program), subprocess.Popen(program, start_new_session=True)
    with open({str(tmp_path / "pids")!r}, "w") as file:
        file.write(f"{{os.getpid()}} {{child.pid}} {{apart.pid}}.")
    while {busy}:
        sum(range(10_000))
"""
    function(tmp_path, source)
    program = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from local_emulator.function_compute.instances import FunctionInstance
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment
from tests.function_instances import function
made = function(Path({str(tmp_path)!r}), Path({str(tmp_path / "code/index.py")!r}).read_text())
instance = FunctionInstance(made, InstanceEnvironment("1", Credentials("id", "secret"), ()))
instance.invoke(b"", "1-request")
time.sleep(600)
"""
    (tmp_path / "scratch").mkdir()
    emulator = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    )
    written = tmp_path / "pids"
    wait_for(lambda: written.exists() and written.read_text(encoding="ascii").endswith("."))
    os.kill(emulator.pid, signal.SIGKILL)
    emulator.wait(20)
    for pid in written.read_text(encoding="ascii").rstrip(".").split():
        wait_for(partial(gone, int(pid)))
    wait_for(lambda: not list((tmp_path / "scratch").iterdir()))


def test_folders_of_code_and_uploads_go_when_the_emulator_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from local_emulator.control_plane.function_compute.uploads import Uploads
from local_emulator.function_compute.content import ContentStore
store, uploads = ContentStore(), Uploads()
store.add_folder(Path({str(tmp_path / "code")!r}))
uploads.add("bucket", "name", uploads.new_file())
print(flush=True)
time.sleep(600)
"""
    function(tmp_path, "")
    (tmp_path / "scratch").mkdir()
    command, environment = [sys.executable, "-c", program], {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    killed, running = (subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2))
    with killed, running:
        try:
            for emulator in (killed, running):
                assert emulator.stdout
                emulator.stdout.readline()
            assert sorted(path.name[:7] for path in (tmp_path / "scratch").iterdir()) == [
                "fc-code",
                "fc-code",
                "fc-uplo",
                "fc-uplo",
            ]
            killed.kill()
            wait_for(lambda: len(list((tmp_path / "scratch").iterdir())) == 2)
        finally:
            killed.kill()
            running.kill()
    wait_for(lambda: not list((tmp_path / "scratch").iterdir()))


def test_layers_are_found_by_the_end_of_their_names(tmp_path: Path) -> None:
    for name in ("powertools", "connector"):
        (tmp_path / "layers" / name / "python").mkdir(parents=True)
    made = function(tmp_path, "", layers=("kafka-maxcompute-connector", "powertools"))
    expected = (tmp_path / "layers/connector/python", tmp_path / "layers/powertools/python")
    assert layers.folders(made, tmp_path) == expected


@pytest.mark.parametrize(
    ("layer", "hint"),
    [("other", "rename the layer"), ("x-dependencies", "make build/layers/dependencies/python/.stamp")],
)
def test_a_missing_layer_says_what_to_do(tmp_path: Path, layer: str, hint: str) -> None:
    (tmp_path / "layers/dependencies").mkdir(parents=True)
    with pytest.raises(MissingLayerError, match=hint):
        layers.folders(function(tmp_path, "", layers=(layer,)), tmp_path)


def pid_in(file: Path) -> int | None:
    return int(text) if file.exists() and (text := file.read_text(encoding="ascii")) else None
