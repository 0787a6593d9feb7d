"""Instances: submit a job, watch it, read what it gave, stop it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from types import MappingProxyType
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from aiohttp import web

from local_emulator.maxcompute.access.objects import of_instance
from local_emulator.maxcompute.entities import DEFAULT_SCHEMA
from local_emulator.maxcompute.errors import ServiceError, invalid
from local_emulator.maxcompute.instances import Instance, Job, TaskStatus, parse_settings
from local_emulator.maxcompute.keys import ACCESS, INSTANCES, PRINCIPAL, STORE, in_thread
from local_emulator.maxcompute.rest.listing import page
from local_emulator.maxcompute.rest.projects import project_of
from local_emulator.maxcompute.rest.xml import element, http_time, read, reply
from local_emulator.maxcompute.result_text import csv_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from xml.etree.ElementTree import Element

# How long ?instancestatus, which waits at the server's side, waits for the end.
WAIT_SECONDS = 5.0
RESULT_ROWS = 10_000  # the service's own bound of ?result
TASK_TYPE = "SQL"


async def submit(request: web.Request) -> web.Response:
    """POST of a job; its id is in the Location header."""
    project = project_of(request, "CreateInstance").name
    root = await read(request, "Instance")
    job = _job(root)
    request.app[STORE].limits.check_sql(job.query)
    schema = request.query.get("curr_schema") or job.settings.get("odps.default.schema") or DEFAULT_SCHEMA
    instance = request.app[INSTANCES].submit(project, schema, request[PRINCIPAL], job)
    location = f"http://{request.host}/api/projects/{project}/instances/{instance.id}"
    return web.Response(status=201, headers={"Location": location})


async def instances(request: web.Request) -> web.Response:
    """A project's instances, by status, time, owner or job's name."""
    project = project_of(request, "List").name
    query = request.query
    low, _, high = query.get("daterange", "").partition(":")
    try:
        begin, end = (float(text) if text else None for text in (low, high))
    except ValueError:
        raise invalid(f"expected seconds:seconds in daterange, found {query['daterange']!r}") from None
    found = [
        instance
        for instance in request.app[INSTANCES].list(project)
        if query.get("status") in (None, "", _status(instance))
        and (begin is None or instance.started.timestamp() >= begin)
        and (end is None or instance.started.timestamp() <= end)
        and (query.get("onlyowner") != "yes" or instance.owner == request[PRINCIPAL])
        and query.get("jobname") in (None, instance.job.task)
    ]
    chosen, marker, size = page(found, query, lambda instance: instance.id)
    items = [
        element(
            "Instance",
            None,
            element("Name", instance.id),
            element("Owner", instance.owner.name),
            element("StartTime", http_time(instance.started)),
            element("EndTime", http_time(instance.ended) if instance.ended else None),
            element("Status", _status(instance)),
        )
        for instance in chosen
    ]
    return reply(element("Instances", None, element("Marker", marker), element("MaxItems", size), *items))


async def instance(request: web.Request) -> web.Response:
    """GET of an instance, in all its variants."""
    found, query = _found(request, "Read"), request.query
    if "instancestatus" in query and not found.terminated:
        with contextlib.suppress(asyncio.TimeoutError):  # it is still Running, which is the answer
            await asyncio.wait_for(found.finished.wait(), WAIT_SECONDS)
    for name in ("info", "instancequota", "log", "workers"):
        if name in query:
            raise invalid(f"?{name} of an instance is not emulated")
    if "result" in query:
        return reply(await in_thread(request, lambda: _result(found)))
    for name, variant in _VARIANTS.items():
        if name in query:
            return variant(found)
    headers = {
        "x-odps-owner": found.owner.name,
        "x-odps-start-time": http_time(found.started),
        # Empty while it runs: the Java SDK takes its absence for a fault, and PyODPS knows of empty ones.
        "x-odps-end-time": http_time(found.ended) if found.ended is not None and found.terminated else "",
    }
    return reply(element("Instance", None, element("Status", _status(found))), headers=headers)


async def stop(request: web.Request) -> web.Response:
    """PUT of status Terminated; ServiceError InvalidStateSetting if it has ended."""
    found = _found(request, "Write")
    root = await read(request, "Instance")
    if root.findtext("Status") != "Terminated":
        raise invalid(f"expected Status Terminated, found {root.findtext('Status')!r}", "InvalidStateSetting")
    request.app[INSTANCES].stop(found)
    return web.Response()


def _found(request: web.Request, action: str) -> Instance:
    found = request.app[INSTANCES].get(project_of(request).name, request.match_info["instance"])
    securable = of_instance(found.project, found.id, found.owner.name)
    request.app[ACCESS].require(request[PRINCIPAL], action, securable)
    return found


def _job(root: Element) -> Job:
    source = root.find("Job")
    tasks = list(source.findall("Tasks/*")) if source is not None else []
    if source is None or len(tasks) != 1 or tasks[0].tag != TASK_TYPE:
        found = ", ".join(task.tag for task in tasks) or "none"
        raise ServiceError(
            400,
            "InvalidParameter",
            f"ODPS-0420061: Invalid parameter in HTTP request - the emulator runs jobs of one SQL task, found: {found}",
        )
    task = tasks[0]
    name, query = task.findtext("Name"), task.findtext("Query")
    if not name or not query:
        raise ServiceError(400, "InvalidParameter", "ODPS-0420061: expected Name and Query in the task")
    properties = {item.findtext("Name"): item.findtext("Value") or "" for item in task.findall("Config/Property")}
    return Job(source, name, query, parse_settings(properties.get("settings", "")))


def _status(found: Instance) -> str:
    return "Terminated" if found.terminated else "Running"


def _task_status(found: Instance) -> web.Response:
    task = element(
        "Task",
        None,
        element("Name", found.job.task),
        element("StartTime", http_time(found.started)),
        element("EndTime", http_time(found.ended) if found.ended and found.terminated else None),
        element("Status", found.status.value),
        element("Histories"),
        Type=TASK_TYPE,
    )
    return reply(element("Instance", None, element("Status", _status(found)), element("Tasks", None, task)))


async def queue(request: web.Request) -> web.Response:
    """What runs in a project now."""
    project, query = project_of(request, "List").name, request.query
    found = [
        known
        for known in request.app[INSTANCES].list(project)
        if not known.terminated and (query.get("onlyowner") != "yes" or known.owner == request[PRINCIPAL])
    ]
    chosen, marker, size = page(found, query, lambda known: known.id)
    content = json.dumps([_queueing(known) for known in chosen])
    parts = (element("Marker", marker), element("MaxItems", size), element("Content", content))
    return reply(element("Instances", None, *parts))


def _queueing(found: Instance) -> dict[str, object]:
    """An instance as the queue shows it; nothing once it has ended."""
    if found.terminated:
        return {}
    return {
        "instanceId": found.id,
        "instancePriority": 9,
        "instanceProcess": 0.0,
        "jobName": found.job.task,
        "projectName": found.project,
        "skynetId": "",
        "startTime": found.started.strftime("%Y-%m-%d %H:%M:%S"),
        "taskType": TASK_TYPE,
        "taskName": found.job.task,
        "userAccount": found.owner.name,
        "status": "Running",
        "subStatusHistory": [],
    }


def _result(found: Instance) -> Element:
    outcome = found.outcome
    task = element("Task", None, element("Name", found.job.task), Type=TASK_TYPE)
    if outcome.rows is not None:
        text = csv_text(outcome.columns, outcome.rows.slice(0, RESULT_ROWS), outcome.zone)
        task.append(_encoded(text, "csv"))
        whole = outcome.rows.num_rows <= RESULT_ROWS
        columns = [{"Name": column.name, "Type": str(column.type)} for column in outcome.columns]
        descriptor = {
            "IsSelect": True,
            "SelectResultStatus": "FULL" if whole else "TRUNCATED",
            "Schema": {"Columns": columns},
        }
        task.append(element("ResultDescriptor", json.dumps(descriptor)))
    elif found.terminated:
        task.append(_encoded(outcome.text, "text"))
    task.append(element("Status", found.status.value))
    return element("Instance", None, element("Tasks", None, task))


def _encoded(text: str, form: str) -> Element:
    """In Base64: XML can't carry every character of a value."""
    body = base64.b64encode(text.encode()).decode("ascii")
    return ET.fromstring(f'<Result Transform="Base64" Format="{form}">{body}</Result>')  # noqa: S314 - made here


def _summary(found: Instance) -> web.Response:
    headers = {"x-odps-task-finalized": str(found.terminated).lower()}
    if not found.terminated:
        return web.json_response({}, headers=headers)
    written = dict(found.outcome.written)
    lines = ["resource cost: cpu 0.00 Core * Min, memory 0.00 GB * Min", "outputs:"]
    text = "\n".join([*lines, *(f"\t{table}: {count}" for table, count in written.items())]) + "\n"
    # The JDBC driver takes the first number of each output for its rows; bytes aren't counted.
    outputs = {table: [count, 0] for table, count in written.items()}
    json_summary = json.dumps({"Cost": {"CPU": 0, "Memory": 0, "Input": 0}, "Outputs": outputs})
    body = {"Instance": {"JsonSummary": json_summary, "Summary": text}}
    return web.json_response(body, headers=headers)


def _detail(found: Instance) -> web.Response:
    return web.json_response({"Instance": {"Name": found.id, "Status": _status(found), "Tasks": [found.job.task]}})


def _progress(found: Instance) -> web.Response:
    done = found.status is TaskStatus.SUCCESS
    counts = {
        "BackupWorkers": 0,
        "TerminatedWorkers": int(found.terminated),
        "RunningWorkers": int(not found.terminated),
        "TotalWorkers": 1,
        "InputRecords": 0,
        "OutputRecords": found.outcome.rows.num_rows if found.outcome.rows is not None else 0,
        "FinishedPercentage": 100 if done else 0,
    }
    children = [element(name, value) for name, value in counts.items()]
    return reply(element("Progress", None, element("Stage", None, *children, ID="M1_job_0")))


_VARIANTS: Mapping[str, Callable[[Instance], web.Response]] = MappingProxyType(
    {
        "taskstatus": _task_status,
        "cached": lambda found: web.json_response(_queueing(found)),
        "source": lambda found: reply(found.job.source),
        "instancesummary": _summary,
        "instanceprogress": _progress,
        "detail": _detail,
        "instancedetail": _detail,
    }
)
