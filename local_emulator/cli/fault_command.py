"""``python -m local_emulator fault``: sets faults in the local MaxCompute or control plane; shifts its time."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local_emulator import endpoints
from local_emulator.cli.output import print_json, print_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import TypeAlias

    Answer: TypeAlias = "tuple[dict[str, Any], list[str]]"
    """An answer of the emulator, and its lines for a person."""

SECONDS = 30.0
_ANSWERS = ("reset", "delay", "truncate", "expired-token")
_STATUSES = range(400, 600)


class FaultCommandError(Exception):
    """The emulator refused the request, or something else than the emulator answered."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own commands and their options."""
    parser.description = "Set faults in the local MaxCompute that `up` started, or in the one at --endpoint."
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--endpoint", metavar="URL", help="the MaxCompute, such as http://127.0.0.1:8080; default: the one of `up`"
    )
    target.add_argument("--control", action="store_true", help="use the control plane of `up` instead of MaxCompute")
    subs = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    make = subs.add_parser("set", help="make requests fail, for example: fault set upload.commit reset --applied")
    make.add_argument("operation", help="such as upload.block, sql, 'upload.*' or '*'; see: fault operations")
    make.add_argument("answer", help=f"an HTTP status from 400 to 599, or one of {', '.join(_ANSWERS)}")
    make.add_argument(
        "--code", help="the error code of a status; default: the service's own, a gateway's HTML page for 502 and 504"
    )
    make.add_argument("--message", help="the error message of a status")
    make.add_argument("--applied", action="store_true", help="carry out the request, then lose its answer")
    make.add_argument("--delay", type=float, metavar="SECONDS", help="wait before the answer")
    often = make.add_mutually_exclusive_group()
    often.add_argument("--times", type=int, metavar="N", help="hit the next N requests; default: 1")
    often.add_argument("--always", action="store_true", help="hit all requests until the fault is cleared")
    make.add_argument("--probability", type=float, metavar="P", help="probability to hit a request; default: 1")
    make.add_argument("--seed", type=int, help="seed of the random numbers for --probability; default: 0")
    make.add_argument("--session", metavar="ID", help="hit only requests about the session (or instance) with this id")

    subs.add_parser("list", help="show the faults and how many requests each has hit")
    clear = subs.add_parser("clear", help="remove faults")
    clear.add_argument("id", type=int, nargs="*", help="the faults' numbers; default: all")
    subs.add_parser("operations", help="list the operations that a fault can be set for")
    clock = subs.add_parser("clock", help="show or shift the emulator's time")
    clock.add_argument(
        "--shift", type=float, metavar="SECONDS", help="shift the time by which sessions and tokens expire"
    )
    clock.add_argument(
        "--skew", type=float, metavar="SECONDS", help="shift the time that the dates of requests are compared with"
    )


def run(options: argparse.Namespace) -> int:
    """Carry out the command; return 0."""
    try:
        address = urlsplit(options.endpoint or _running_endpoint(control=options.control)).netloc
    except ValueError:
        address = ""
    if not address:
        raise FaultCommandError(
            f"expected a URL such as http://127.0.0.1:8080 in --endpoint, found {options.endpoint!r}"
        )
    answers = {"set": _set, "list": _list, "clear": _clear, "operations": _operations, "clock": _clock}
    answer, lines = answers[options.action](address, options)
    if options.json:
        print_json(answer)
    else:
        print_lines(lines)
    return 0


def _running_endpoint(*, control: bool) -> str:
    at = endpoints.read()
    return at.control if control else at.tunnel


def _set(address: str, options: argparse.Namespace) -> Answer:
    is_status = options.answer.isdecimal() and int(options.answer) in _STATUSES
    if not is_status and options.answer not in _ANSWERS:
        raise FaultCommandError(
            f"expected an HTTP status from 400 to 599, or one of {', '.join(_ANSWERS)}; found {options.answer!r}"
        )
    fields = {
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
    request = {name: value for name, value in fields.items() if value is not None}
    fault = call(address, "POST", "faults", request | ({"times": None} if options.always else {}))
    return fault, [f"fault {fault['id']}: {_describe(fault)}"]


def _list(address: str, _: argparse.Namespace) -> Answer:
    answer = call(address, "GET", "faults")
    lines = [f"fault {fault['id']}: {_describe(fault)}; {_describe_hits(fault)}" for fault in answer["faults"]]
    return answer, lines or ["no faults are set"]


def _clear(address: str, options: argparse.Namespace) -> Answer:
    paths = [f"faults/{number}" for number in options.id] or ["faults"]
    cleared = [fault for path in paths for fault in call(address, "DELETE", path)["faults"]]
    lines = [f"cleared fault {fault['id']}: {_describe(fault)}; {_describe_hits(fault)}" for fault in cleared]
    return {"cleared": cleared}, lines or ["no faults are set"]


def _operations(address: str, _: argparse.Namespace) -> Answer:
    answer = call(address, "GET", "operations")
    return answer, list(answer["operations"])


def _clock(address: str, options: argparse.Namespace) -> Answer:
    fields = {"shift_seconds": options.shift, "skew_seconds": options.skew}
    change = {name: value for name, value in fields.items() if value is not None}
    clock = call(address, "PUT", "clock", change) if change else call(address, "GET", "clock")
    shifts = f"shifted by {clock['shift_seconds']:g} s; dates of requests by {clock['skew_seconds']:g} s"
    return clock, [f"now {clock['now']}, {shifts}"]


def _describe(fault: dict[str, Any]) -> str:
    answer = fault["answer"] if fault["answer"] != "status" else str(fault["status"])
    parts = [" ".join(filter(None, (fault["operation"], answer, fault.get("code"))))]
    parts += ["applied"] if fault.get("applied") else []
    parts += [f"delay {fault['delay_seconds']:g} s"] if "delay_seconds" in fault else []
    parts += [f"session {fault['session']}"] if "session" in fault else []
    parts += [f"probability {fault['probability']:g}"] if "probability" in fault else []
    parts += ["until cleared" if fault["times"] is None else f"times {fault['times']}"]
    return ", ".join(parts)


def _describe_hits(fault: dict[str, Any]) -> str:
    hits = ", ".join(f"{name} {count}" for name, count in fault["hits"].items())
    return f"fired {fault['fired']} ({hits}), applied {fault['applied_count']}" if hits else "never fired"


def call(
    address: str, method: str, path: str, body: object = None, headers: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Call the emulator's own HTTP API and return its answer; FaultCommandError if it refuses or isn't reachable."""
    connection = HTTPConnection(address, timeout=SECONDS)
    try:
        connection.request(method, f"/emulator/{path}", None if body is None else json.dumps(body), dict(headers))
        answer = connection.getresponse()
        value: dict[str, Any] = json.loads(answer.read())
        refused = value["Message"] if answer.status >= HTTPStatus.BAD_REQUEST else ""
    except OSError as error:
        raise FaultCommandError(f"nothing answers at {address}: {error}") from error
    except (HTTPException, ValueError, KeyError) as error:
        raise FaultCommandError(
            f"what answers at {address} is neither the local MaxCompute nor its control plane"
        ) from error
    finally:
        connection.close()
    if refused:
        raise FaultCommandError(refused)
    return value
