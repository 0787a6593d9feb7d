"""Functions written by a test, run by the emulator's instances."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_emulator.function_compute.template import Function

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.function_compute.instances import InvocationOutcome
    from local_emulator.function_compute.pool import Pool


def function(folder: Path, source: str, **changes: Any) -> Function:
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code/index.py").write_text(source, encoding="utf-8")
    props: dict[str, Any] = {
        "name": "demo",
        "region": "cn-hangzhou",
        "runtime": "python3.10",
        "handler": "index.handler",
        "code": folder / "code",
        "timeout": 20,
        "memory": 512,
        "layers": (),
        "environment": {},
        "role": "",
        "initializer": None,
        "pre_stop": None,
        "log_project": "logs",
        "log_store": "store",
        "triggers": (),
    }
    return Function(**{**props, **changes})


def invoke(pool: Pool, event: bytes = b"") -> InvocationOutcome:
    return pool.invoke(event, "1-00000000-request")


def result(pool: Pool, event: bytes = b"") -> Any:
    return outcome_value(invoke(pool, event))


def outcome_value(outcome: InvocationOutcome) -> Any:
    """The value that a successful call returned."""
    assert outcome.error_type is None, outcome.body
    return json.loads(outcome.body)


def gone(pid: int | None) -> bool:
    """True when the process has ended (a killed child of a killed parent may be left as a zombie for init)."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return True


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def states_of(pid: int) -> list[str]:
    """The states of a process's threads, as proc_pid_status(5) has them: T for stopped."""
    statuses = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return [status.partition("State:\t")[2][0] for status in statuses]


def instance_processes() -> list[int]:
    """The processes of this process's instances."""
    children = [path.read_text(encoding="ascii") for path in Path("/proc/self/task").glob("*/children")]
    pids = [int(pid) for text in children for pid in text.split()]
    return [pid for pid in pids if b"bootstrap.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
