"""Instances: submit a job, get its status and result, stop it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from types import MappingProxyType
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from aiohttp import web

from local_emulator.maxcompute.access.objects import instance_securable
from local_emulator.maxcompute.entities import DEFAULT_SCHEMA
from local_emulator.maxcompute.errors import ServiceError, invalid
from local_emulator.maxcompute.instances import Instance, Job, TaskStatus, parse_settings
from local_emulator.maxcompute.keys import ACCESS, INSTANCES, PRINCIPAL, STORE, in_thread
from local_emulator.maxcompute.rest.listing import page
from local_emulator.maxcompute.rest.projects import requested_project
from local_emulator.maxcompute.rest.xml import element, http_time, read, reply
from local_emulator.maxcompute.result_text import csv_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from xml.etree.ElementTree import Element

# How long a request with ?instancestatus waits for the instance's end.
WAIT_SECONDS = 5.0
RESULT_ROWS = 10_000  # the service's limit of ?result
TASK_TYPE = "SQL"


async def submit(request: web.Request) -> web.Response:
    """POST: submit a job; the answer's Location header has the instance's id."""
    project = requested_project(request, "CreateInstance").name
    root = await read(request, "Instance")
    job = _job(root)
    request.app[STORE].limits.check_sql(job.query)
    schema = request.query.get("curr_schema") or job.settings.get("odps.default.schema") or DEFAULT_SCHEMA
    instance = request.app[INSTANCES].submit(project, schema, request[PRINCIPAL], job)
    location = f"http://{request.host}/api/projects/{project}/instances/{instance.id}"
    return web.Response(status=201, headers={"Location": location})


async def instances(request: web.Request) -> web.Response:
    """List a project's instances, filtered by status, time, owner or job's name."""
    project = requested_project(request, "List").name
    query = request.query
    low, _, high = query.get("daterange", "").partition(":")
    try:
        begin, end = (float(text) if text else None for text in (low, high))
    except ValueError:
        raise invalid(f"expected seconds:seconds in daterange, found {query['daterange']!r}") from None
    matching = [
        instance
        for instance in request.app[INSTANCES].list(project)
        if query.get("status") in (None, "", _status(instance))
        and (begin is None or instance.started.timestamp() >= begin)
        and (end is None or instance.started.timestamp() <= end)
        and (query.get("onlyowner") != "yes" or instance.owner == request[PRINCIPAL])
        and query.get("jobname") in (None, instance.job.task)
    ]
    chosen, marker, size = page(matching, query, lambda instance: instance.id)
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
    """GET: an instance's status, result or other details, by the query's keys."""
    instance, query = _requested(request, "Read"), request.query
    if "instancestatus" in query and not instance.terminated:
        with contextlib.suppress(asyncio.TimeoutError):  # the answer is then Running
            await asyncio.wait_for(instance.finished.wait(), WAIT_SECONDS)
    for name in ("info", "instancequota", "log", "workers"):
        if name in query:
            raise invalid(f"?{name} of an instance is not emulated")
    if "result" in query:
        return reply(await in_thread(request, lambda: _result(instance)))
    for name, variant in _VARIANTS.items():
        if name in query:
            return variant(instance)
    headers = {
        "x-odps-owner": instance.owner.name,
        "x-odps-start-time": http_time(instance.started),
        # Empty while the instance runs: the Java SDK fails without the header, and PyODPS accepts an empty one.
        "x-odps-end-time": http_time(instance.ended) if instance.ended is not None and instance.terminated else "",
    }
    return reply(element("Instance", None, element("Status", _status(instance))), headers=headers)


async def stop(request: web.Request) -> web.Response:
    """PUT of status Terminated: stop an instance; ServiceError InvalidStateSetting if the instance has ended."""
    instance = _requested(request, "Write")
    root = await read(request, "Instance")
    if root.findtext("Status") != "Terminated":
        raise invalid(f"expected Status Terminated, found {root.findtext('Status')!r}", "InvalidStateSetting")
    request.app[INSTANCES].stop(instance)
    return web.Response()


def _requested(request: web.Request, action: str) -> Instance:
    instance = request.app[INSTANCES].get(requested_project(request).name, request.match_info["instance"])
    securable = instance_securable(instance.project, instance.id, instance.owner.name)
    request.app[ACCESS].require(request[PRINCIPAL], action, securable)
    return instance


def _job(root: Element) -> Job:
    source = root.find("Job")
    tasks = list(source.findall("Tasks/*")) if source is not None else []
    if source is None or len(tasks) != 1 or tasks[0].tag != TASK_TYPE:
        types = ", ".join(task.tag for task in tasks) or "none"
        raise ServiceError(
            400,
            "InvalidParameter",
            f"ODPS-0420061: Invalid parameter in HTTP request - the emulator runs jobs of one SQL task, found: {types}",
        )
    task = tasks[0]
    name, query = task.findtext("Name"), task.findtext("Query")
    if not name or not query:
        raise ServiceError(400, "InvalidParameter", "ODPS-0420061: expected Name and Query in the task")
    properties = {item.findtext("Name"): item.findtext("Value") or "" for item in task.findall("Config/Property")}
    return Job(source, name, query, parse_settings(properties.get("settings", "")))


def _status(instance: Instance) -> str:
    return "Terminated" if instance.terminated else "Running"


def _task_status(instance: Instance) -> web.Response:
    task = element(
        "Task",
        None,
        element("Name", instance.job.task),
        element("StartTime", http_time(instance.started)),
        element("EndTime", http_time(instance.ended) if instance.ended and instance.terminated else None),
        element("Status", instance.status.value),
        element("Histories"),
        Type=TASK_TYPE,
    )
    return reply(element("Instance", None, element("Status", _status(instance)), element("Tasks", None, task)))


async def queue(request: web.Request) -> web.Response:
    """List a project's running instances."""
    project, query = requested_project(request, "List").name, request.query
    running = [
        instance
        for instance in request.app[INSTANCES].list(project)
        if not instance.terminated and (query.get("onlyowner") != "yes" or instance.owner == request[PRINCIPAL])
    ]
    chosen, marker, size = page(running, query, lambda instance: instance.id)
    content = json.dumps([_queueing(instance) for instance in chosen])
    parts = (element("Marker", marker), element("MaxItems", size), element("Content", content))
    return reply(element("Instances", None, *parts))


def _queueing(instance: Instance) -> dict[str, object]:
    """Return a running instance's entry in the queue; empty for an ended instance."""
    if instance.terminated:
        return {}
    return {
        "instanceId": instance.id,
        "instancePriority": 9,
        "instanceProcess": 0.0,
        "jobName": instance.job.task,
        "projectName": instance.project,
        "skynetId": "",
        "startTime": instance.started.strftime("%Y-%m-%d %H:%M:%S"),
        "taskType": TASK_TYPE,
        "taskName": instance.job.task,
        "userAccount": instance.owner.name,
        "status": "Running",
        "subStatusHistory": [],
    }


def _result(instance: Instance) -> Element:
    outcome = instance.outcome
    task = element("Task", None, element("Name", instance.job.task), Type=TASK_TYPE)
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
    elif instance.terminated:
        task.append(_encoded(outcome.text, "text"))
    task.append(element("Status", instance.status.value))
    return element("Instance", None, element("Tasks", None, task))


def _encoded(text: str, form: str) -> Element:
    """Return a result in Base64, because XML can't contain every character of a value."""
    body = base64.b64encode(text.encode()).decode("ascii")
    return ET.fromstring(f'<Result Transform="Base64" Format="{form}">{body}</Result>')  # noqa: S314 - made here


def _summary(instance: Instance) -> web.Response:
    headers = {"x-odps-task-finalized": str(instance.terminated).lower()}
    if not instance.terminated:
        return web.json_response({}, headers=headers)
    written = dict(instance.outcome.written)
    lines = ["resource cost: cpu 0.00 Core * Min, memory 0.00 GB * Min", "outputs:"]
    text = "\n".join([*lines, *(f"\t{table}: {count}" for table, count in written.items())]) + "\n"
    # The JDBC driver reads the first number of each output as its rows; the emulator doesn't count the bytes.
    outputs = {table: [count, 0] for table, count in written.items()}
    json_summary = json.dumps({"Cost": {"CPU": 0, "Memory": 0, "Input": 0}, "Outputs": outputs})
    body = {"Instance": {"JsonSummary": json_summary, "Summary": text}}
    return web.json_response(body, headers=headers)


def _detail(instance: Instance) -> web.Response:
    return web.json_response(
        {"Instance": {"Name": instance.id, "Status": _status(instance), "Tasks": [instance.job.task]}}
    )


def _progress(instance: Instance) -> web.Response:
    done = instance.status is TaskStatus.SUCCESS
    counts = {
        "BackupWorkers": 0,
        "TerminatedWorkers": int(instance.terminated),
        "RunningWorkers": int(not instance.terminated),
        "TotalWorkers": 1,
        "InputRecords": 0,
        "OutputRecords": instance.outcome.rows.num_rows if instance.outcome.rows is not None else 0,
        "FinishedPercentage": 100 if done else 0,
    }
    children = [element(name, value) for name, value in counts.items()]
    return reply(element("Progress", None, element("Stage", None, *children, ID="M1_job_0")))


_VARIANTS: Mapping[str, Callable[[Instance], web.Response]] = MappingProxyType(
    {
        "taskstatus": _task_status,
        "cached": lambda instance: web.json_response(_queueing(instance)),
        "source": lambda instance: reply(instance.job.source),
        "instancesummary": _summary,
        "instanceprogress": _progress,
        "detail": _detail,
        "instancedetail": _detail,
    }
)
