"""The local MaxCompute as a process of its own, to be killed."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from odps import ODPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def emulator_process(data_dir: Path | None, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], ODPS]]:
    """The process, ready, and a client of it; it is gone when the block ends. None: it keeps its data in memory."""
    command = [sys.executable, "-m", "local_emulator", "maxcompute", "--port", str(port)]
    command += ["--data-dir", str(data_dir)] if data_dir else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        endpoint = re.search(r"REST (\S+),", ready)
        assert endpoint, ready
        yield process, ODPS("ak", "sk", "connector_test", endpoint=endpoint[1])
    finally:
        process.kill()
        process.communicate(timeout=30)
