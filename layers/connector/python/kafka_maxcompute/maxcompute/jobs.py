"""Runs statements on MaxCompute, SQL as a job and statements of access control, and waits for their end.

The requests are those of PyODPS 0.13.2 (odps/core.py, odps/models/instances.py, odps/models/project.py), without
PyODPS's own waiting, which has no time limit.
"""

from __future__ import annotations

import base64
import csv
import io
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING
from urllib.parse import quote

from tenacity import RetryError, Retrying, retry_if_result, stop_before_delay, wait_exponential, wait_random

from kafka_maxcompute.errors import RefusedError, UnavailableError
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.service import Answer, Service
    from kafka_maxcompute.maxcompute.sql import Statement

TASK, PRIORITY = "AnonymousSQLTask", "9"  # as PyODPS has them
NULL = "\\N"
SHOWN_CHARACTERS = 300
FIRST_LOOK_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0

_XML = {"Content-Type": "application/xml"}
_OK = 200


def run_sql(service: Service, statement: Statement, deadline: Deadline) -> None:
    """Run a statement that returns no rows; it has to be harmless if it's run twice.

    Raises `RefusedError` if it fails, and `UnavailableError` if it hasn't ended before the deadline.
    """
    _run(service, statement, deadline)


def select(service: Service, statement: Statement, deadline: Deadline) -> list[dict[str, str | None]]:
    r"""Return the few rows of a query, by column name; values are the text of the service's CSV, NULL is None.

    The text `\N` can't be distinguished from NULL. Raises as `run_sql` does.
    """
    path = _run(service, statement, deadline)
    doing = f"read the answer of {_shown(statement)}"
    rows = csv.DictReader(io.StringIO(_result(service, path, doing, deadline)))
    return [{name: None if value == NULL else value for name, value in row.items()} for row in rows]


def _run(service: Service, statement: Statement, deadline: Deadline) -> str:
    """Run a statement until it has succeeded; return the path of its job."""
    doing = f"run {_shown(statement)}"
    job = ET.Element("Instance")
    root = ET.SubElement(job, "Job")
    ET.SubElement(root, "Priority").text = PRIORITY
    task = ET.SubElement(ET.SubElement(root, "Tasks"), "SQL")
    ET.SubElement(task, "Name").text = TASK
    ET.SubElement(task, "Query").text = statement.text
    location = _post(service, "/instances", job, doing, deadline).headers.get("Location", "")
    path = f"/instances/{quote(location.rpartition('/')[2], safe='')}"
    status = _watched(lambda: _task_status(service, path, doing, deadline), doing, deadline)
    if status != "Success":
        result = _result(service, path, doing, deadline)[:SHOWN_CHARACTERS]
        raise RefusedError(f"could not {doing}: the job is {status}: {result}", code=result.partition(":")[0] or status)
    return path


def _result(service: Service, path: str, doing: str, deadline: Deadline) -> str:
    """Return the result of a job that has ended, decoded if it's in Base64."""
    result = _get(service, path, {"result": ""}, doing, deadline).find(".//Result")
    text = "" if result is None else result.text or ""
    return base64.b64decode(text).decode() if result is not None and result.get("Transform") == "Base64" else text


def run_security(service: Service, statement: Statement, deadline: Deadline) -> str:
    """Run a statement of access control, such as a grant, and return its result, JSON or text.

    Raises as `run_sql` does.
    """
    doing = f"run {_shown(statement)}"
    query = ET.Element("Authorization")
    ET.SubElement(query, "Query").text = statement.text
    ET.SubElement(query, "ResponseInJsonFormat").text = "true"
    answer = _post(service, "/authorization", query, doing, deadline)
    result = _parsed(answer.body, doing).findtext("Result") or ""
    if answer.status == _OK:
        return result
    path, ended = f"/authorization/{quote(result, safe='')}", ""

    def look() -> str:
        nonlocal ended
        answer = _get(service, path, {}, doing, deadline)
        ended = answer.findtext("Result") or ""
        return answer.findtext("Status") or ""

    status = _watched(look, doing, deadline)
    if status == "FAILED":
        raise RefusedError(f"could not {doing}: {ended[:SHOWN_CHARACTERS]}", code=ended.partition(":")[0])
    return ended


def _task_status(service: Service, path: str, doing: str, deadline: Deadline) -> str:
    answer = _get(service, path, {"taskstatus": ""}, doing, deadline)
    return answer.findtext(".//Task/Status") or answer.findtext("Status") or ""


def _watched(look: Callable[[], str], doing: str, deadline: Deadline) -> str:
    """Call `look` until the status is final, and return the status."""
    waiting = Retrying(
        retry=retry_if_result(lambda status: status.upper() in {"", "RUNNING", "WAITING", "SUSPENDED"}),
        wait=wait_exponential(FIRST_LOOK_SECONDS, LONGEST_PAUSE_SECONDS) + wait_random(0, FIRST_LOOK_SECONDS),
        stop=stop_before_delay(deadline.remaining()),
    )
    try:
        return waiting(look)
    except RetryError:
        raise UnavailableError(f"could not {doing} in time: it still runs; call again to get its result") from None


def _post(service: Service, path: str, body: ET.Element, doing: str, deadline: Deadline) -> Answer:
    for attempt in until(deadline):
        with attempt:
            answer = service.exchange(
                "POST", path, doing=doing, deadline=deadline, headers=_XML, data=ET.tostring(body, "utf-8")
            )
    return answer


def _get(service: Service, path: str, params: dict[str, str], doing: str, deadline: Deadline) -> ET.Element:
    for attempt in until(deadline):
        with attempt:
            answer = _parsed(service.request("GET", path, params=params, doing=doing, deadline=deadline), doing)
    return answer


def _parsed(body: bytes, doing: str) -> ET.Element:
    try:
        return ET.fromstring(body)  # noqa: S314 # the service that gets our data
    except ET.ParseError:
        raise UnavailableError(f"could not {doing}: expected XML, found {len(body)} other bytes") from None


def _shown(statement: Statement) -> str:
    text = statement.text
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
