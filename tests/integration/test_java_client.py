"""The MaxCompute emulator under the vendor's Java SDK and JDBC driver: a test here for each JUnit class of tests/java.

Maven compiles and runs them all once against an emulator in this process, in a JVM for each of two builds: the driver
brings an SDK of its own. The builds are build/java and build/jdbc.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from odps import ODPS

from local_emulator.maxcompute import server
from tests.maxcompute_sql import OLD_DUCKDB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.maxcompute.server import MaxComputeServer

ROOT = Path(__file__).parents[2]
POMS = {"java": ROOT / "tests" / "java" / "pom.xml", "jdbc": ROOT / "tests" / "java" / "jdbc" / "pom.xml"}
CLASSES = [
    (build, path.stem)
    for build, pom in POMS.items()
    for path in sorted(pom.parent.glob("src/test/java/maxcompute/*Test.java"))
]
# The first run fetches the SDK and JUnit; a run with all of them here takes some 35 s on two cores.
MAVEN_SECONDS = 600

pytestmark = [pytest.mark.java, pytest.mark.xdist_group("java"), pytest.mark.timeout(2 * MAVEN_SECONDS + 30)]


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start(project="java_client", access_id="id", access_key="key") as running:
        yield running


@pytest.fixture(scope="module")
def maven(emulator: MaxComputeServer) -> dict[str, subprocess.CompletedProcess[str]]:
    """Maven's run of all classes, by build."""
    if not shutil.which("mvn") or not shutil.which("java"):
        pytest.fail("these tests need java and mvn on the PATH (on Debian: apt-get install default-jdk-headless maven)")
    for build in POMS:
        shutil.rmtree(reports(build), ignore_errors=True)
    environment = {
        **os.environ,
        "MAXCOMPUTE_ENDPOINT": emulator.endpoint,
        "MAXCOMPUTE_PROJECT": "java_client",
        "MAXCOMPUTE_ACCESS_ID": "id",
        "MAXCOMPUTE_ACCESS_KEY": "key",
        "MAXCOMPUTE_HAS_TIMESTAMP": str(not OLD_DUCKDB).lower(),
    }
    command = ["mvn", "-q", "-B", "-Dstyle.color=never"]
    return {build: run([*command, "-f", str(pom), "test"], environment) for build, pom in POMS.items()}


def reports(build: str) -> Path:
    return ROOT / "build" / build / "surefire-reports"


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run in a process group of its own, so that Maven's JVMs end with it at the time limit."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=MAVEN_SECONDS)
        except BaseException as error:
            # The time limit, Ctrl-C or the limit of the test: Popen would wait for Maven's end.
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            pytest.fail(f"Maven hadn't ended after {MAVEN_SECONDS} s:\n{output}")
    return subprocess.CompletedProcess(command, process.returncode, output)


@pytest.mark.parametrize(("build", "name"), CLASSES)
def test_the_java_clients(maven: dict[str, subprocess.CompletedProcess[str]], build: str, name: str) -> None:
    report = reports(build) / f"TEST-maxcompute.{name}.xml"
    assert report.exists(), f"{name} didn't run; Maven said:\n{maven[build].stdout}"
    suite = ET.parse(report).getroot()  # noqa: S314 - written by the run above
    failures = [
        f"{case.get('name')}: {problem.get('message')}\n{problem.text}"
        for case in suite.iter("testcase")
        for problem in case
        if problem.tag in {"failure", "error", "skipped"}
    ]
    assert not failures, "\n".join(failures)
    assert suite.find("testcase") is not None


@pytest.mark.parametrize("build", POMS)
def test_the_whole_build_succeeds(maven: dict[str, subprocess.CompletedProcess[str]], build: str) -> None:
    assert maven[build].returncode == 0, maven[build].stdout


def test_pyodps_reads_what_java_wrote(
    maven: dict[str, subprocess.CompletedProcess[str]], emulator: MaxComputeServer
) -> None:
    del maven  # it has run, and ValuesTest has left its table
    client = ODPS("id", "key", "java_client", emulator.endpoint, logview_host=emulator.tunnel_endpoint)
    tables = [table.name for table in client.list_tables(prefix="typed_")]
    assert len(tables) == 1
    values, nulls = (dict(row) for row in client.read_table(tables[0]))
    assert (values["id"], values["t"], values["d"]) == (2**63 - 1, -128, math.pi)
    assert (values["text"], values["bytes"]) == ('\u540d "quoted", \\ \n\0', b"\0\xff\x7f")
    assert values["price"] == Decimal("12345678901234567890.123456789012345678")
    assert values["tags"] == ["x", None, "\u540d"]
    assert values["counts"] == {"one": 1, "none": None}
    assert set(nulls.values()) == {None}
