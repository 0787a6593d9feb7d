"""``python -m local_emulator fault``: faults of a running MaxCompute emulator or control plane, and its time."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local_emulator import endpoints

if TYPE_CHECKING:
    import argparse

SECONDS = 30.0
_ANSWERS = ("reset", "delay", "truncate", "expired-token")
_STATUSES = range(400, 600)


class FaultCommandError(Exception):
    """The emulator refused what was asked for, or something else answered."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own commands."""
    parser.description = "Faults of the local MaxCompute: of `up`, or of the one at --endpoint."
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--endpoint", metavar="URL", help="such as http://127.0.0.1:8080; default: that of `up`")
    where.add_argument("--control", action="store_true", help="of the control plane of `up` instead")
    subs = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    make = subs.add_parser("set", help="let something go wrong: fault set upload.commit reset --applied")
    make.add_argument("operation", help="such as upload.block, sql, 'upload.*' or '*'; see: fault operations")
    make.add_argument("answer", help=f"a status from 400 to 599, or one of {', '.join(_ANSWERS)}")
    make.add_argument("--code", help="of a status; default: the service's, and for 502 and 504 a gateway's page")
    make.add_argument("--message", help="of a status")
    make.add_argument("--applied", action="store_true", help="do what was asked for first, and then lose the answer")
    make.add_argument("--delay", type=float, metavar="SECONDS", help="wait before the answer")
    often = make.add_mutually_exclusive_group()
    often.add_argument("--times", type=int, metavar="N", help="for the next N requests; default: 1")
    often.add_argument("--always", action="store_true", help="for all requests until it is cleared")
    make.add_argument("--probability", type=float, metavar="P", help="of each request; default: 1")
    make.add_argument("--seed", type=int, help="of the random numbers for it; default: 0")
    make.add_argument("--session", metavar="ID", help="only for the session (or instance) with this id")

    subs.add_parser("list", help="show the faults and how often each has happened")
    clear = subs.add_parser("clear", help="take faults back")
    clear.add_argument("id", type=int, nargs="*", help="default: all")
    subs.add_parser("operations", help="list what a fault can be set at")
    clock = subs.add_parser("clock", help="show or shift the emulator's time")
    clock.add_argument("--shift", type=float, metavar="SECONDS", help="of the time by which sessions and tokens live")
    clock.add_argument("--skew", type=float, metavar="SECONDS", help="of the time that requests' dates are checked by")


def run(options: argparse.Namespace) -> int:
    """Do one of them; 0."""
    try:
        address = urlsplit(options.endpoint or _running(control=options.control)).netloc
    except ValueError:
        address = ""
    if not address:
        raise FaultCommandError(
            f"expected a URL such as http://127.0.0.1:8080 in --endpoint, found {options.endpoint!r}"
        )
    {"set": _set, "list": _list, "clear": _clear, "operations": _operations, "clock": _clock}[options.action](
        address, options
    )
    return 0


def _running(*, control: bool) -> str:
    at = endpoints.read()
    return at.control if control else at.tunnel


def _set(address: str, options: argparse.Namespace) -> None:
    is_status = options.answer.isdecimal() and int(options.answer) in _STATUSES
    if not is_status and options.answer not in _ANSWERS:
        raise FaultCommandError(
            f"expected a status from 400 to 599, or one of {', '.join(_ANSWERS)}; found {options.answer!r}"
        )
    wanted = {
        "operation": options.operation,
        "answer": "status" if is_status else options.answer,
        "status": int(options.answer) if is_status else None,
        "code": options.code,
        "message": options.message,
        "applied": options.applied or None,
        "delay_seconds": options.delay,
        "times": options.times,
        "probability": options.probability,
        "seed": options.seed,
        "session": options.session,
    }
    fault = {name: value for name, value in wanted.items() if value is not None}
    made = ask(address, "POST", "faults", fault | ({"times": None} if options.always else {}))
    print(f"fault {made['id']}: {_sentence(made)}")


def _list(address: str, _: argparse.Namespace) -> None:
    found = ask(address, "GET", "faults")["faults"]
    if not found:
        print("no faults are set")
        return
    for one in found:
        print(f"fault {one['id']}: {_sentence(one)}; {_fate(one)}")


def _clear(address: str, options: argparse.Namespace) -> None:
    paths = [f"faults/{number}" for number in options.id] or ["faults"]
    gone = [one for path in paths for one in ask(address, "DELETE", path)["faults"]]
    for one in gone:
        print(f"cleared fault {one['id']}: {_sentence(one)}; {_fate(one)}")
    if not gone:
        print("no faults are set")


def _operations(address: str, _: argparse.Namespace) -> None:
    for name in ask(address, "GET", "operations")["operations"]:
        print(name)


def _clock(address: str, options: argparse.Namespace) -> None:
    wanted = {"shift_seconds": options.shift, "skew_seconds": options.skew}
    change = {name: value for name, value in wanted.items() if value is not None}
    clock = ask(address, "PUT", "clock", change) if change else ask(address, "GET", "clock")
    print(
        f"now {clock['now']}, shifted by {clock['shift_seconds']:g} s; dates of requests by {clock['skew_seconds']:g} s"
    )


def _sentence(fault: dict[str, Any]) -> str:
    answer = fault["answer"] if fault["answer"] != "status" else str(fault["status"])
    parts = [" ".join(filter(None, (fault["operation"], answer, fault.get("code"))))]
    parts += ["applied"] if fault.get("applied") else []
    parts += [f"delay {fault['delay_seconds']:g} s"] if "delay_seconds" in fault else []
    parts += [f"session {fault['session']}"] if "session" in fault else []
    parts += [f"probability {fault['probability']:g}"] if "probability" in fault else []
    parts += ["until cleared" if fault["times"] is None else f"times {fault['times']}"]
    return ", ".join(parts)


def _fate(fault: dict[str, Any]) -> str:
    hits = ", ".join(f"{name} {count}" for name, count in fault["hits"].items())
    return f"fired {fault['fired']} ({hits}), applied {fault['applied_count']}" if hits else "never fired"


def ask(address: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    """One call of the emulator's own HTTP API; FaultCommandError says what it didn't like, or that it isn't there."""
    connection = HTTPConnection(address, timeout=SECONDS)
    try:
        connection.request(method, f"/emulator/{path}", None if body is None else json.dumps(body))
        answer = connection.getresponse()
        value: dict[str, Any] = json.loads(answer.read())
        refused = value["Message"] if answer.status >= HTTPStatus.BAD_REQUEST else ""
    except OSError as error:
        raise FaultCommandError(f"nothing answers at {address}: {error}") from error
    except (HTTPException, ValueError, KeyError) as error:
        raise FaultCommandError(f"what answers at {address} is not the local MaxCompute") from error
    finally:
        connection.close()
    if refused:
        raise FaultCommandError(refused)
    return value
