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
    """Where a program is; BrokerError says how to install it."""
    found = shutil.which(name)
    if found is None:
        raise BrokerError(
            f"a real Apache Kafka needs the program {name}, which isn't on the PATH; install it (on Debian: "
            f"apt-get install {package}), or use the embedded broker: KAFKA=embedded"
        )
    return found


def class_path(cache: Path | None = None) -> str:
    """A class path of the jars, which are fetched first if this version of them isn't in the cache."""
    wanted = (cache or installation.cache() / "kafka") / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    if not wanted.is_dir():
        _fetch(wanted)
    return f"{wanted}/*"


def _fetch(target: Path) -> None:
    """Copy into a scratch folder and rename it: several processes may do this at once, and none sees half of it."""
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
