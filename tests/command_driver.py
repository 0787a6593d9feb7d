"""Runs commands as a shell would, each in a process forked from this one, which has imported them once.

Read from standard input: a JSON array of cases, each an object with `words` (the command's, as hex of their bytes) and
`stdout` ("file", "closed", "unread" or "full"). Written: a JSON object a line, with `code`, `out`, `err`, `seconds`.
What is only in the developer's environment is not there, as after `make run`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from typing import IO, TYPE_CHECKING, Any, Literal, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 20.0
NOT_INSTALLED = frozenset({"pandas", "numpy"})


class Missing:
    """Finds nothing of what isn't installed."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name.partition(".")[0] in NOT_INSTALLED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())


def redirected(stdout: Literal["file", "closed", "unread", "full"], out: IO[bytes], err: IO[bytes]) -> None:
    """Lead the three streams of this process where a case has them."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(err.fileno(), 2)
    if stdout == "closed":
        os.close(1)
        sys.stdout = None  # as the interpreter starts with it closed
    elif stdout == "unread":
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
    elif stdout == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    else:
        os.dup2(out.fileno(), 1)


def child(case: dict[str, Any], out: IO[bytes], err: IO[bytes]) -> NoReturn:
    """Do what the interpreter does for `python -m`, its end included."""
    os.setsid()
    redirected(case["stdout"], out, err)
    code: object = 0
    try:
        end_in_good_order()
        words = [os.fsdecode(bytes.fromhex(word)) for word in case["words"]]
        code = main(words)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 # whatever a user would see the traceback of
        traceback.print_exc()
        code = 99
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:  # noqa: PERF203 # two streams
            traceback.print_exc()
            code = 120
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def ran(case: dict[str, Any]) -> dict[str, Any]:
    """What came of one case."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = os.fork()
        if process == 0:
            child(case, out, err)
        ending = [signal.SIGTERM, signal.SIGKILL]
        end = begun + case.get("seconds", SECONDS)
        while not (waited := os.waitpid(process, os.WNOHANG))[0]:
            if time.monotonic() > end and ending:
                os.killpg(process, ending.pop(0))
                end += SECONDS
            time.sleep(0.01)
        out.seek(0)
        err.seek(0)
        return {
            "code": os.waitstatus_to_exitcode(waited[1]),
            "out": out.read().decode("utf-8", "replace"),
            "err": err.read().decode("utf-8", "replace"),
            "seconds": time.monotonic() - begun,
        }


if __name__ == "__main__":
    if sys.argv[1] == "local_emulator":
        from local_emulator.__main__ import end_in_good_order, main
    else:
        from provisioning.__main__ import main as provision

        def end_in_good_order() -> None:
            """Nothing: this command leaves nothing behind."""

        def main(arguments: Sequence[str] | None = None) -> int:
            """The provisioning function's command, which takes a list."""
            return provision(list(arguments or ()))

    for each in json.load(sys.stdin):
        sys.stdout.write(json.dumps(ran(each)) + "\n")
        sys.stdout.flush()
