"""Instances: submitted jobs, from Running to Terminated, and their results.

A job has one SQL task, which runs in a thread. The newest results, up to a number of bytes, stay in memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import uuid
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import duckdb

from local_emulator.maxcompute.access.permissions import AccessDeniedError
from local_emulator.maxcompute.authentication import Principal
from local_emulator.maxcompute.errors import ServiceError, missing
from local_emulator.maxcompute.sql import engine
from local_emulator.maxcompute.sql.context import Context, Outcome
from local_emulator.maxcompute.sql.errors import SqlError, ddl_error, no_permission, parse_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from xml.etree.ElementTree import Element

    import pyarrow as pa

    from local_emulator.maxcompute.access.permissions import Access
    from local_emulator.maxcompute.entities import Column, Project, Table
    from local_emulator.maxcompute.store import Store

_log = logging.getLogger(__name__)
RUNNING_AT_ONCE = 16
KEPT_INSTANCES = 10_000
KEPT_RESULT_BYTES = 512 << 20


class TaskStatus(Enum):
    """The status of a task; an instance is Running until its task ends, then Terminated."""

    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """A submitted job: one SQL task, its hints, and the job's XML for ``?source``."""

    source: Element
    task: str
    query: str
    settings: dict[str, str]


@dataclass(slots=True)
class Instance:
    """One submitted job."""

    id: str
    project: str
    schema: str
    owner: Principal
    job: Job
    started: datetime
    status: TaskStatus = TaskStatus.RUNNING
    ended: datetime | None = None
    outcome: Outcome = field(default_factory=Outcome)
    expired: bool = False
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    cursor: duckdb.DuckDBPyConnection | None = None
    stopped: bool = False

    @property
    def terminated(self) -> bool:
        """Whether the task has ended."""
        return self.status is not TaskStatus.RUNNING


class Instances:
    """All instances of all projects, oldest first."""

    def __init__(self, store: Store, access: Access, now: Callable[[], datetime]) -> None:
        self._store = store
        self._access = access
        self._now = now
        self._lock = threading.Lock()
        self._instances: OrderedDict[str, Instance] = OrderedDict()
        self._executor = ThreadPoolExecutor(RUNNING_AT_ONCE, "sql")

    def close(self) -> None:
        """Interrupt the running instances, and wait for their end."""
        for instance in list(self._instances.values()):
            self._interrupt(instance)
        self._executor.shutdown(wait=True, cancel_futures=True)

    def submit(self, project: str, schema: str, owner: Principal, job: Job) -> Instance:
        """Start a job; must be called in the event loop's thread."""
        now = self._now()
        # Like the service's ids: time, a number, a random end.
        name = f"{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03d}g{uuid.uuid4().hex[:10]}"
        instance = Instance(name, project, schema, owner, job, now)
        with self._lock:
            self._instances[name] = instance
            while len(self._instances) > KEPT_INSTANCES and next(iter(self._instances.values())).terminated:
                self._instances.popitem(last=False)
        loop = asyncio.get_running_loop()
        self._executor.submit(self._run, instance, loop)
        return instance

    def get(self, project: str, instance_id: str) -> Instance:
        """Return an instance; ServiceError NoSuchObject if the project has no such instance."""
        instance = self._instances.get(instance_id)
        if instance is None or instance.project != project.lower():
            raise missing("NoSuchObject", f"ODPS-0420111: The instance does not exist - {instance_id}")
        return instance

    def list(self, project: str) -> list[Instance]:
        """Return a project's instances, oldest first."""
        with self._lock:
            return [instance for instance in self._instances.values() if instance.project == project.lower()]

    def result(self, project: str, instance_id: str) -> tuple[tuple[Column, ...], pa.Table]:
        """Return a query's columns and rows, for the instance tunnel.

        Raises:
            ServiceError: InstanceTypeNotSupported unless the instance is a successful query (clients then request
                ``?result``), InstanceNotTerminate while the instance runs, NoSuchObject.
        """
        instance = self.get(project, instance_id)
        if not instance.terminated:
            raise ServiceError(400, "InstanceNotTerminate", f"Instance {instance_id} is running")
        if instance.outcome.rows is None:
            reason = "its result is no longer stored" if instance.expired else "it has no rows to download"
            raise ServiceError(400, "InstanceTypeNotSupported", f"Instance {instance_id}: {reason}")
        return instance.outcome.columns, instance.outcome.rows

    def stop(self, instance: Instance) -> None:
        """Interrupt a running instance; ServiceError InvalidStateSetting if it has ended."""
        if instance.terminated:
            raise ServiceError(409, "InvalidStateSetting", f"Instance {instance.id} is Terminated")
        self._interrupt(instance)

    @staticmethod
    def _interrupt(instance: Instance) -> None:
        instance.stopped = True
        cursor = instance.cursor
        if cursor is not None and not instance.terminated:
            cursor.interrupt()

    def _run(self, instance: Instance, loop: asyncio.AbstractEventLoop) -> None:
        try:
            status, outcome = self._outcome(instance)
        except duckdb.InterruptException:
            status, outcome = TaskStatus.CANCELLED, Outcome("Instance is stopped by its user")
        except SqlError as error:
            status, outcome = TaskStatus.FAILED, Outcome(str(error))
        except RecursionError:
            status, outcome = TaskStatus.FAILED, Outcome(str(parse_error("the statement nests too deeply", None)))
        except ServiceError as error:
            status, outcome = TaskStatus.FAILED, Outcome(f"ODPS-0110061: Failed to run ddltask - {error.message}")
        except Exception:  # noqa: BLE001 - every fault becomes the task's result
            _log.exception("instance %s failed", instance.id)
            status, outcome = TaskStatus.FAILED, Outcome("ODPS-0010000:System internal error - see the emulator's log")
        instance.ended = self._now()
        instance.outcome = outcome
        instance.status = status
        self._forget_old_results()
        # Nobody waits in a closed loop.
        if not loop.is_closed():
            loop.call_soon_threadsafe(instance.finished.set)

    def _outcome(self, instance: Instance) -> tuple[TaskStatus, Outcome]:
        context = Context(
            self._store,
            instance.project,
            instance.schema,
            instance.owner.name,
            instance.started,
            dict(instance.job.settings),
            lambda cursor: _watch(instance, cursor),
            _Rights(self._access, instance.owner),
        )
        return TaskStatus.SUCCESS, engine.run(context, instance.job.query)

    def _forget_old_results(self) -> None:
        with self._lock:
            total = 0
            for instance in reversed(self._instances.values()):
                if instance.outcome.rows is None:
                    continue
                total += instance.outcome.rows.nbytes
                if total > KEPT_RESULT_BYTES and total > instance.outcome.rows.nbytes:
                    instance.outcome, instance.expired = Outcome(), True


@dataclass(frozen=True, slots=True)
class _Rights:
    """The rights of the identity that submitted a job, and of the owners of views."""

    access: Access
    principal: Principal

    def require(self, identity: str, action: str, target: Table | Project) -> None:
        with _refusals():
            self.access.require(self._principal(identity), action, target)

    def require_new_owner(self, identity: str, project: Project, owner: str) -> None:
        with _refusals():
            self.access.require_appointer(self._principal(identity), project, "change an owner")
        if not self.access.admits(Principal("", owner), project):
            raise ddl_error(f"the new owner {owner} is no user of project {project.name}")

    def _principal(self, identity: str) -> Principal:
        return self.principal if identity == self.principal.name else Principal("", identity)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except AccessDeniedError as error:
        raise no_permission(error.detail) from error


def _watch(instance: Instance, cursor: duckdb.DuckDBPyConnection | None) -> None:
    """Keep a running query's cursor, so that `Instances.stop` can interrupt the query."""
    instance.cursor = cursor
    if instance.stopped:
        raise duckdb.InterruptException("stopped")


def parse_settings(text: str) -> dict[str, str]:
    """Return the settings in a task's ``settings`` property, a JSON object."""
    try:
        values = json.loads(text or "{}")
    except ValueError as error:
        raise ServiceError(400, "InvalidParameter", f"expected a JSON object in settings: {error}") from error
    if not isinstance(values, dict):
        raise ServiceError(400, "InvalidParameter", "expected a JSON object in settings")
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
