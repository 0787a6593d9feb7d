"""The sink function in a process of its own, to be killed.

The process invokes the handler with what comes on its standard input, prints "answered" once that has returned, and
then only waits for its end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.delivering_connector import Connector

ROOT = Path(__file__).parents[2]
FOLDERS = ("functions/sink", "layers/connector/python", "layers/powertools/python", "")
SECONDS = 60


@contextmanager
def function(connector: Connector, batch: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """The function at work on a batch; it's gone when the block ends."""
    path = os.pathsep.join(str(ROOT / folder) for folder in FOLDERS)
    environment = {**os.environ, **connector.environment(), "PYTHONPATH": path}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.function_process"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(batch)
        process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait(SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def main() -> None:
    """The process's own work."""
    import index  # noqa: PLC0415 - the function's, which the tests' own process has another one of
    from fc_powertools.context import Context, Function  # noqa: PLC0415 - as above

    payload = sys.stdin.buffer.read()
    index.handler(payload, Context(request_id="r", function=Function(name="sink", timeout=SECONDS)))
    print("answered", flush=True)  # noqa: T201 - it says so to the test
    time.sleep(SECONDS)


if __name__ == "__main__":
    main()
