"""``python -m local_emulator maxcompute``: serves the local MaxCompute alone until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local_emulator.cli.output import print_json_line
from local_emulator.maxcompute import limits
from local_emulator.maxcompute.errors import DatabaseBusyError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.web import AppRunner

    from local_emulator.maxcompute.server import MaxComputeSettings

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
ACCOUNT_ID = "1000000000000001"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = (
        f"Serve a local MaxCompute: REST at http://{HOST}:PORT/api, Tunnel at http://{HOST}:PORT. "
        "The command prints one line once the service is ready, and ends on SIGTERM or Ctrl-C."
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 means any free port (default: %(default)s)")
    parser.add_argument("--access-id", default="ak", help="access key id of the account's owner (default: %(default)s)")
    parser.add_argument("--access-key", default="sk", help="access key secret of the owner (default: %(default)s)")
    parser.add_argument("--project", default="connector_test", help="project to create (default: %(default)s)")
    parser.add_argument("--account-id", default=ACCOUNT_ID, help="the account's number (default: %(default)s)")
    parser.add_argument("--account-name", default="", help="a name that statements may use instead of the number")
    parser.add_argument(
        "--user",
        action="append",
        nargs=3,
        metavar=("NAME", "ID", "KEY"),
        default=[],
        help="the access key of another identity, such as 'RAM$<account id>:alice' ak2 sk2; may be repeated. "
        "The owner grants its permissions: add user, grant",
    )
    parser.add_argument("--data-dir", type=Path, help="keep committed data in this directory (default: in memory)")
    parser.add_argument(
        "--limit",
        action="append",
        type=_limit,
        metavar="NAME=NUMBER",
        default=[],
        help="change one of the service's limits, or switch it off with NAME=off; may be repeated. "
        f"NAME is one of: {', '.join(limits.NAMES)}",
    )
    parser.add_argument("--no-limits", action="store_true", help="switch off all limits that no --limit sets")
    parser.add_argument(
        "--second-commit-conflicts",
        action="store_true",
        help="refuse a second commit of an upload session with StatusConflict (default: answer it like the first)",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="treat every request as the owner's, and check no signature"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    from local_emulator.maxcompute import server  # noqa: PLC0415 # half a second of imports, which no other command needs

    settings = server.MaxComputeSettings(
        project=arguments.project,
        access_id=arguments.access_id,
        access_key=arguments.access_key,
        account_id=arguments.account_id,
        data_dir=arguments.data_dir,
        insecure=arguments.insecure,
        account_name=arguments.account_name,
        users=tuple(server.UserKey(*words) for words in arguments.user),
        limits=limits.changed(limits.NO_LIMITS if arguments.no_limits else limits.Limits(), arguments.limit),
        second_commit_conflicts=arguments.second_commit_conflicts,
    )
    try:
        asyncio.run(_serve(server.serve, arguments.port, settings, as_json=arguments.json))
    except (DatabaseBusyError, ServiceError, OverflowError, OSError) as error:
        return _report_failure(_failure(error, arguments.port), as_json=arguments.json)
    return 0


def _failure(error: Exception, port: int) -> str:
    """Return the message for an error that ends the command."""
    if isinstance(error, ServiceError):
        return error.message
    if isinstance(error, OverflowError):
        return f"expected a port from 0 to 65535, found {port}"
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; choose another with --port (0 means any free port)"
    return f"cannot start: {error}" if isinstance(error, OSError) else str(error)


def _limit(word: str) -> str:
    try:
        limits.changed(limits.NO_LIMITS, [word])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return word


async def _serve(
    serve: Callable[[str, int, MaxComputeSettings], Awaitable[tuple[AppRunner, str]]],
    port: int,
    settings: MaxComputeSettings,
    *,
    as_json: bool,
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    runner, address = await serve(HOST, port, settings)
    try:
        rest, tunnel, applied = f"http://{address}/api", f"http://{address}", settings.limits.describe()
        if as_json:
            folder = settings.data_dir and str(settings.data_dir)
            ready = {"rest": rest, "tunnel": tunnel, "project": settings.project, "data_dir": folder, "limits": applied}
            print_json_line({"state": "ready", **ready})
        else:
            where = "in memory" if settings.data_dir is None else f"in {settings.data_dir}"
            sys.stdout.write(
                f"MaxCompute is ready: REST {rest}, Tunnel {tunnel}, project {settings.project}, "
                f"data {where}, limits {applied}\n"
            )
            sys.stdout.flush()
        await stopped.wait()
    finally:
        await runner.cleanup()


def _report_failure(message: str, *, as_json: bool) -> int:
    sys.stderr.write(f"maxcompute: {message}\n")
    if as_json:
        print_json_line({"error": message})
    return 1
