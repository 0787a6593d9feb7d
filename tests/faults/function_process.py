"""The sink function in a process of its own, to be killed: invokes the handler with what comes on its standard input.

It prints "answered" once the handler has returned, and then only waits for its end.
"""

from __future__ import annotations

import sys
import time

import index
from fc_powertools.context import Context, Function

SECONDS = 60

if __name__ == "__main__":
    payload = sys.stdin.buffer.read()
    index.handler(payload, Context(request_id="r", function=Function(name="sink", timeout=SECONDS)))
    print("answered", flush=True)  # noqa: T201 - it says so to the test
    time.sleep(SECONDS)
