"""Several calls in an instance at once, and instances between calls: frozen, ended when idle, never left behind."""

from __future__ import annotations

import itertools
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.function_compute.keeper import KEEPER
from local_emulator.function_compute.pool import Pool, PoolStatus, RetiredError
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment
from local_emulator.function_compute.template import Hook
from tests.function_instances import function, gone, invoke, outcome_value, result, states_of, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from local_emulator.function_compute.instances import InvocationOutcome

    Make = Callable[..., Pool]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Pool] = []

    def pool(source: str, idle_seconds: float = 300.0, **changes: Any) -> Pool:
        environment = InstanceEnvironment("1", Credentials("id", "secret"), ())
        made.append(Pool(function(tmp_path, source, **changes), lambda: environment, 3, None, idle_seconds))
        return made[-1]

    yield pool
    for each in made:
        each.stop()


WITH_THREAD_AND_CHILD = """
import os, subprocess, sys, threading

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
threading.Thread(target=threading.Event().wait, daemon=True).start()

def handler(event, context):
    return [os.getpid(), child.pid]
"""


def test_processes_and_their_threads_stand_still_between_calls(make: Make) -> None:
    pool = make(WITH_THREAD_AND_CHILD)
    process, child = result(pool)
    wait_for(lambda: states_of(process) == ["T", "T"])
    wait_for(lambda: states_of(child) == ["T"])
    assert result(pool) == [process, child]


NOTING = """
import os
def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{os.getpid()} {text}\\n")
def initialize(context):
    note("initialize")
def handler(event, context):
    note("handler")
    return []
def pre_stop(context):
    note("pre_stop")
"""


def noting(tmp_path: Path) -> dict[str, Any]:
    return {
        "environment": {"NOTES": str(tmp_path / "notes")},
        "initializer": Hook("index.initialize", 5),
        "pre_stop": Hook("index.pre_stop", 5),
    }


def notes(tmp_path: Path) -> list[list[str]]:
    return [line.split() for line in (tmp_path / "notes").read_text(encoding="utf-8").splitlines()]


def test_a_frozen_instance_runs_its_pre_stop_hook(make: Make, tmp_path: Path) -> None:
    pool = make(NOTING, **noting(tmp_path))
    result(pool)
    pool.stop()
    assert [word for _, word in notes(tmp_path)] == ["initialize", "handler", "pre_stop"]


def test_an_idle_instance_ends_after_its_pre_stop_hook_and_the_next_call_is_cold(make: Make, tmp_path: Path) -> None:
    pool = make(NOTING, idle_seconds=0.01, **noting(tmp_path))
    result(pool)
    wait_for(lambda: len(notes(tmp_path)) == 3)
    first = int(notes(tmp_path)[0][0])
    assert [word for _, word in notes(tmp_path)] == ["initialize", "handler", "pre_stop"]
    wait_for(partial(gone, first))
    result(pool)
    assert notes(tmp_path)[3][0] != str(first)
    assert pool.logs().count("FunctionCompute python3 runtime inited.") == 2


TOGETHER = """
import logging, os, threading
together = threading.Barrier(2, timeout=20)
initialized = []
def initialize(context):
    initialized.append(context.request_id)
def handler(event, context):
    logging.getLogger().info("before")
    together.wait()
    logging.getLogger().info("after")
    if event == b"exit":
        raise SystemExit
    if event == b"stay":
        threading.Event().wait()
    return [os.getpid(), context.request_id, initialized]
"""


def call_together(pool: Pool, *events: bytes) -> list[InvocationOutcome]:
    with ThreadPoolExecutor(len(events)) as threads:
        return list(threads.map(pool.invoke, events, (f"1-{number}" for number, _ in enumerate(events))))


def test_an_instance_takes_as_many_calls_at_once_as_configured(make: Make) -> None:
    pool = make(TOGETHER, props={"instanceConcurrency": 2}, initializer=Hook("index.initialize", 5))
    outcomes = call_together(pool, b"", b"", b"", b"")
    values = [outcome_value(outcome) for outcome in outcomes]
    assert len({process for process, _, _ in values}) == 2
    assert [request_id for _, request_id, _ in values] == ["1-0", "1-1", "1-2", "1-3"]
    assert all(len(initialized) == 1 for _, _, initialized in values)
    for outcome, (_, request_id, _) in zip(outcomes, values, strict=True):
        own = [line.split(" ", 1)[1] for line in outcome.log.decode().splitlines() if f"Z {request_id} " in line]
        assert own == [f"{request_id} [INFO] before", f"{request_id} [INFO] after"]


def test_the_end_of_an_instance_ends_all_its_calls(make: Make) -> None:
    pool = make(TOGETHER, props={"instanceConcurrency": 2})
    outcomes = call_together(pool, b"stay", b"exit")
    assert [outcome.error_type for outcome in outcomes] == ["UnhandledInvocationError"] * 2
    assert all(outcome_value(outcome) for outcome in call_together(pool, b"", b""))


def test_one_call_at_a_time_runs_in_the_main_thread(make: Make) -> None:
    source = "import threading\ndef handler(event, context):\n    return [threading.current_thread().name]\n"
    assert result(make(source)) == ["MainThread"]


MEMORY = """
import subprocess, sys, time
child = "held = b'x' * (200 * 2**20); import time; print('held', flush=True); time.sleep(20)"
def handler(event, context):
    if event == b"child":
        process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(20)
    held = b"x" * (int(event) * 2**20)
    return []
"""


def test_the_memory_of_a_call_is_its_own_peak(make: Make) -> None:
    pool = make(MEMORY)
    large, small = invoke(pool, b"200"), invoke(pool, b"1")
    assert 200 < large.memory < 300
    assert small.memory < 100


@pytest.mark.parametrize("event", [b"200", b"child"])
def test_too_much_memory_ends_the_instance_even_if_it_is_freed_or_held_by_a_child(make: Make, event: bytes) -> None:
    pool = make(MEMORY, memory=128)
    outcome = invoke(pool, event)
    assert outcome.error_type == "UnhandledInvocationError"
    assert b"Process exited unexpectedly before completing request" in outcome.body
    assert outcome.memory > 128
    assert result(pool, b"1") == []


KEYS = """
import os
def handler(event, context):
    return [os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"], context.credentials.access_key_id, os.getpid()]
"""


def test_requests_get_newer_keys_and_an_instance_whose_own_keys_end_is_replaced(tmp_path: Path) -> None:
    hours, numbers = [0.0], itertools.count(1)

    def environment() -> InstanceEnvironment:
        ends = hours[0] + 36
        keys = Credentials(f"id-{next(numbers)}", "secret", "", lambda: (ends - hours[0]) * 3600)
        return InstanceEnvironment("1", keys, ())

    pool = Pool(function(tmp_path, KEYS), environment, 1, None)
    values = []
    for hour in (0, 17, 19, 35.9, 36):
        hours[0] = hour
        values.append(result(pool))
    first, last = values[0][2], values[-1][2]
    assert values[:-1] == [["id-1", key, first] for key in ("id-1", "id-1", "id-2", "id-2")]
    assert values[-1] == ["id-3", "id-3", last]
    wait_for(partial(gone, first))
    pool.stop()


def test_cold_and_warm_calls_are_counted(make: Make) -> None:
    pool = make(TOGETHER, props={"instanceConcurrency": 2})
    assert pool.status() == PoolStatus(0, 0, {})
    used = {outcome.instance_id for outcome in call_together(pool, b"", b"", b"", b"")}
    call_together(pool, b"", b"")
    assert pool.status() == PoolStatus(2, 4, dict.fromkeys(used, 0))


def test_a_retired_pool_takes_no_calls_and_ends_its_instances_after_theirs(make: Make, tmp_path: Path) -> None:
    source = NOTING.replace('note("handler")', 'note("handler"); import time; time.sleep(0.5)')
    pool = make(source, **noting(tmp_path))
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(result, pool)
        wait_for(lambda: (tmp_path / "notes").exists() and len(notes(tmp_path)) == 2)
        pool.retire()
        with pytest.raises(RetiredError):
            invoke(pool)
        assert call.result() == []
    wait_for(lambda: pool.ended)
    assert [word for _, word in notes(tmp_path)] == ["initialize", "handler", "pre_stop"]


def test_a_killed_instance_is_replaced(make: Make) -> None:
    pool = make("import os\ndef handler(event, context):\n    return [os.getpid()]\n")
    (killed,), (place,) = result(pool), pool._places
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not place.instance.usable)
    assert result(pool) != [killed]
    assert pool.status().cold == 2


def test_a_killed_keeper_is_replaced(make: Make) -> None:
    source = "import os\ndef handler(event, context):\n    return [os.getpid()]\n"
    result(make(source))
    keeper = KEEPER.process
    assert keeper
    os.kill(keeper, signal.SIGKILL)
    wait_for(partial(gone, keeper))
    (process,) = result(make(source))
    replaced = KEEPER.process
    assert replaced not in (None, keeper)
    assert states_of(process)
