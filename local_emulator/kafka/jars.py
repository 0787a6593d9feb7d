"""The jars of Apache Kafka, copied once by Maven into build/ from the coordinates in pom.xml."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from local_emulator.foundation import installation
from local_emulator.kafka.errors import BrokerError
from local_emulator.kafka.lifeline import watched

POM = Path(__file__).with_name("pom.xml")
FETCH_SECONDS = 600
REPORT_LINES = 15


def program(name: str, package: str) -> str:
    """Return the path of a program; raises BrokerError, which says how to install it."""
    path = shutil.which(name)
    if path is None:
        raise BrokerError(
            f"a real Apache Kafka needs the program {name}, which isn't on the PATH; install it (on Debian: "
            f"apt-get install {package}), or use the embedded broker: KAFKA=embedded"
        )
    return path


def class_path(cache: Path | None = None) -> str:
    """Return a class path of the jars; fetch them first if the cache doesn't have this version."""
    folder = (cache or installation.cache() / "kafka") / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    if not folder.is_dir():
        _fetch(folder)
    return f"{folder}/*"


def _fetch(target: Path) -> None:
    """Copy the jars into a scratch folder and rename it, so that no concurrent process sees an incomplete folder."""
    maven = program("mvn", "maven")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        libraries = Path(scratch, "lib")
        command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={libraries}"]
        lifeline, held = os.pipe()
        try:
            done = subprocess.run(  # noqa: S603 - fixed arguments
                watched([*command, *options]),
                stdin=lifeline,
                capture_output=True,
                text=True,
                timeout=FETCH_SECONDS,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"Maven didn't fetch Apache Kafka's jars within {FETCH_SECONDS} s; try again") from error
        finally:
            os.close(held)
            os.close(lifeline)
        if done.returncode:
            report = "\n".join((done.stdout + done.stderr).splitlines()[-REPORT_LINES:])
            raise BrokerError(f"Maven couldn't fetch Apache Kafka's jars (exit code {done.returncode}):\n{report}")
        try:
            libraries.rename(target)
        except OSError:
            if not target.is_dir():
                raise
