"""A real Apache Kafka of one node (KRaft) in a JVM of its own, on 127.0.0.1 and free ports, data in a temp folder."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from local_emulator.foundation.stoppable import Stoppable
from local_emulator.kafka import topics as kafka_topics
from local_emulator.kafka.errors import BrokerError
from local_emulator.kafka.jars import class_path, program
from local_emulator.kafka.lifeline import watched
from local_emulator.kafka.security import PROTOCOLS, properties, scram_users

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.kafka.security import Security

START_SECONDS = 90.0
STOP_SECONDS = 10.0
JVM_OPTIONS = ("-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
REPORT_LINES = 15

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={data}
# Retention goes by the records' own time: records of 2020 would be gone in five minutes.
log.retention.ms=-1
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=100
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=8388608
"""


class ApacheBroker(Stoppable):
    """One node; `topics` maps names to their count of topic-partitions. Needs the programs java and mvn.

    With `security`, the node has a listener of each protocol besides PLAINTEXT, and checks the rights of a client that
    connects to these. `servers` has the listeners' addresses by protocol. With `folder`, the node's data are there, and
    outlive the node.
    """

    retention_bytes: int | None = None

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        security: Security | None = None,
        *,
        folder: Path | None = None,
    ) -> None:
        self._java = program("java", "default-jre-headless")
        self._class_path = class_path()
        self._folder = (folder or Path(tempfile.mkdtemp(prefix="kafka-"))).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._is_kept = folder is not None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            protocols = ("PLAINTEXT", *(PROTOCOLS if security else ()))
            controller, *ports = free_ports(1 + len(protocols))
            self.servers = {protocol: f"127.0.0.1:{port}" for protocol, port in zip(protocols, ports, strict=True)}
            self.bootstrap_servers = self.servers["PLAINTEXT"]
            self._format(controller, security)
            self._process = self._start()
            self._await_start()
            kafka_topics.create_missing(self.bootstrap_servers, topics or {})
        except BaseException:
            self.stop()
            raise

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic with this number of topic-partitions, unless the topic exists."""
        kafka_topics.create_missing(self.bootstrap_servers, {name: partitions})

    def stop(self) -> None:
        """Kill the JVM with its process group and remove its data unless they are kept; further calls do nothing."""
        if self._process is not None:
            if self._process.stdin:
                self._process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_SECONDS)
            self._process = None
        if not self._is_kept:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _format(self, controller: int, security: Security | None) -> None:
        """Write server.properties and format the storage, as KRaft requires before the first start."""
        data = self._folder / "data"
        listeners = ",".join(f"{protocol}://{address}" for protocol, address in self.servers.items())
        text = PROPERTIES.format(listeners=listeners, controller=controller, data=data)
        cluster = "K" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        arguments = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties"]
        if security:
            text += properties(security, self._folder)
            arguments += scram_users(security)
        (self._folder / "server.properties").write_text(text, encoding="utf-8")
        if (data / "meta.properties").exists():  # formatted by an earlier start
            return
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            self._command(*arguments),
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode:
            report = "\n".join((done.stdout + done.stderr).splitlines()[-REPORT_LINES:])
            raise BrokerError(f"Apache Kafka's storage couldn't be formatted (exit code {done.returncode}):\n{report}")

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "broker.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - fixed arguments
                watched(self._command("kafka.Kafka", "server.properties")),
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _command(self, *arguments: str) -> list[str]:
        level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return [self._java, *JVM_OPTIONS, level, "-cp", self._class_path, *arguments]

    def _await_start(self) -> None:
        try:
            kafka_topics.await_broker(self.bootstrap_servers, START_SECONDS, self._check_alive)
        except BrokerError as error:
            raise BrokerError(f"{error}\nThe last lines of its log:\n{self._log()}") from error

    def _check_alive(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            raise BrokerError(f"Apache Kafka ended with exit code {self._process.returncode}")

    def _log(self) -> str:
        file = self._folder / "broker.log"
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
        return "\n".join(lines[-REPORT_LINES:])


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that were just free: Kafka can't choose a free port and advertise it."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        return [int(bound.getsockname()[1]) for bound in sockets]
    finally:
        for bound in sockets:
            bound.close()
