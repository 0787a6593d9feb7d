"""The file of addresses of the running local cloud: whose it is, and when its cloud has ended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from local_emulator import endpoints
from local_emulator.endpoints import AlreadyRunningError, Endpoints, NotRunningError, OtherVersionError

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, signal, subprocess
from dataclasses import fields
from local_emulator.endpoints import Endpoints
known = dict.fromkeys((field.name for field in fields(Endpoints)), "") | {"pid": os.getpid()}
with Endpoints(**known).published():
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return endpoints.path()


def cloud(topic: str = "orders") -> Endpoints:
    known = {"pid": os.getpid(), "topic": topic}
    return Endpoints(**dict.fromkeys((field.name for field in fields(Endpoints)), "") | known)  # type: ignore[arg-type]


def test_without_a_file_no_cloud_runs(file: Path) -> None:
    with pytest.raises(NotRunningError, match=r"there is no .*cloud\.json"):
        endpoints.read()
    endpoints.refuse_second()
    assert not file.exists()


def test_a_running_cloud_is_found_by_its_owner_alone_until_it_ends(file: Path) -> None:
    with cloud().published():
        assert endpoints.read() == cloud()
        assert file.stat().st_mode & 0o077 == 0
    assert list(file.parent.iterdir()) == []


def test_a_second_cloud_is_refused_before_it_starts_and_when_it_is_ready(file: Path) -> None:
    with cloud().published():
        with pytest.raises(AlreadyRunningError, match=rf"process {os.getpid()}\b.*stop it with Ctrl-C"):
            endpoints.refuse_second()
        with pytest.raises(AlreadyRunningError), cloud("second").published():
            pytest.fail("it has to be refused")
        assert endpoints.read() == cloud()
    assert list(file.parent.iterdir()) == []


def test_a_file_whose_process_number_another_process_has_is_replaced(file: Path) -> None:
    """As after a reboot: this test's process runs, and isn't the cloud."""
    file.parent.mkdir()
    file.write_text(json.dumps(asdict(cloud("ended"))), encoding="utf-8")
    with pytest.raises(NotRunningError, match="has ended; start one in another terminal"):
        endpoints.read()
    endpoints.refuse_second()
    with cloud().published():
        assert endpoints.read() == cloud()


def test_a_killed_cloud_has_ended_even_if_a_process_that_it_started_runs(file: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", KILLED]
    ran = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL
    try:
        assert file.exists()
        with pytest.raises(NotRunningError, match="has ended"):
            endpoints.read()
        endpoints.refuse_second()
    finally:
        os.kill(int(ran.stdout), signal.SIGKILL)


@pytest.mark.parametrize("content", ["{}", "[", "[" * 100_000, '{"pid": 1, "news": 2}'])
def test_the_file_of_another_version_is_left_to_its_running_cloud(file: Path, content: str) -> None:
    file.parent.mkdir()
    with file.open("w", encoding="utf-8") as opened:
        opened.write(content)
        opened.flush()
        fcntl.flock(opened, fcntl.LOCK_EX)
        for call in (endpoints.read, endpoints.refuse_second):
            with pytest.raises(OtherVersionError, match="stop it with Ctrl-C"):
                call()
    with pytest.raises(NotRunningError, match="has ended"):
        endpoints.read()
    endpoints.refuse_second()


def test_a_file_that_another_cloud_wrote_meanwhile_stays(file: Path) -> None:
    with cloud().published():
        file.unlink()
        file.write_text("another's", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == "another's"


def test_a_file_that_was_deleted_meanwhile_is_no_failure(file: Path) -> None:
    with cloud().published():
        file.unlink()
    assert not file.exists()
