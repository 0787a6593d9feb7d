"""Builds the three layers into dist/ (`make layers RUNTIME=python3.12`): archives that unpack to /opt/python.

The same input gives the same bytes. Wheels are those of the runtime, whatever Python this runs on; they are pruned to
what the functions use, and everything is compiled, because layers are read-only and without .pyc a cold start takes
three times its CPU time (1.5 s instead of 0.5 s).
"""  # noqa: INP001 # run as a file; `layers` is a folder of layers, not a package

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "build/layers"
DIST = ROOT / "dist"
RUNTIMES = ("python3.10", "python3.12")
# python3.10 runs on Debian 10, whose glibc is 2.28, python3.12 on Debian 11; wheels name the oldest glibc they take.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)] + ["manylinux2014_x86_64"]
MB = 1_000_000
# Quota page, April 2026: code and layers alike, in the regions that the page calls main ones and in the others.
MAIN_REGION_MB = 500
OTHER_REGION_MB = 100

# What pip leaves at the top of the folder by way of PyODPS's wheel, and the parts of it that nothing here imports.
JUNK = ("benchmarks", "bin", "docs", "examples", "misc", "notebooks", "odps_scripts", "odps/static")
PYARROW_JUNK = ("pyarrow/include", "pyarrow/includes", "pyarrow/src", "pyarrow/tests")
# Of confluent-kafka: a client of schema registries, Avro, tests, asyncio; none is imported unless asked for.
KAFKA_JUNK = tuple(f"confluent_kafka/{name}" for name in ("aio", "avro", "kafkatest", "schema_registry"))
SOURCES = {".c", ".cc", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx"}
# pyarrow.lib needs all of these, if only because libarrow_python is linked with them; flight, S3, Substrait's and the
# other modules' own extensions can go. Wheels hold each library under up to three names: the linker wants lib*.so.NNNN.
PYARROW_BINARIES = re.compile(
    r"(lib|_compute)\.cpython-.*\.so|"
    r"lib(arrow|arrow_acero|arrow_compute|arrow_dataset|arrow_python|arrow_substrait|parquet)\.so\.\d+"
)
# Heavy, and nothing may need them: numpy alone adds up to 0.1 s to pyarrow's import.
UNWANTED = ("numpy", "pandas")
# The marker that the pins use; pip would answer it for the Python that it runs on, not for the runtime's.
MARKER = re.compile(r" ; python_full_version (?P<than><|>=) '3\.(?P<minor>\d+)'")


class BuildError(Exception):
    """A layer can't be built; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; its archive is dist/kafka-maxcompute-NAME-RUNTIME.zip."""

    name: str
    runtime: str

    @property
    def published_name(self) -> str:
        """As template.yml's ARNs have it."""
        return f"kafka-maxcompute-{self.name}"

    @property
    def description(self) -> str:
        """Which release a published version is of: the service counts versions by itself."""
        return f"kafka-maxcompute-{version()}"

    @property
    def archive(self) -> Path:
        """Where the archive goes."""
        return DIST / f"{self.published_name}-{self.runtime}.zip"

    @property
    def stage(self) -> Path:
        """The folder that holds what the archive holds."""
        return STAGE / self.runtime / self.name


def main() -> int:
    """Build all three; the exit code."""
    parser = argparse.ArgumentParser(description="Build the functions' layers into dist/.")
    parser.add_argument("runtime", nargs="?", default=RUNTIMES[0], choices=RUNTIMES)
    runtime = parser.parse_args().runtime
    try:
        interpreter = find_interpreter(runtime)
        if interpreter is None:
            say(
                f"WARNING: no {runtime} on this machine, so the layers go without compiled files: every cold start "
                "will take about 1 s of CPU time longer, and the imports of the dependencies aren't checked. "
                f"Install {runtime} (its minor version has to match) and run this again."
            )
        layers = [Layer(name, runtime) for name in ("powertools", "connector", "dependencies")]
        for layer in layers:
            build(layer, interpreter)
        if interpreter:
            check_imports([layer.stage / "python" for layer in layers], interpreter)
            say(f"checked: the sink's modules import with these layers alone on {runtime}")
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    say(next_steps(layers))
    return 0


def build(layer: Layer, interpreter: Path | None) -> None:
    """Stage one layer, compile it, pack it, and print its size."""
    shutil.rmtree(layer.stage, ignore_errors=True)
    target = layer.stage / "python"
    target.parent.mkdir(parents=True)
    if layer.name == "dependencies":
        say(f"{layer.name}: wheels for {layer.runtime} ...")
        install_wheels(target, layer.runtime)
        freed = prune(target)
        say(f"{layer.name}: pruned {freed / MB:.0f} MB that nothing uses")
    else:
        shutil.copytree(ROOT / "layers" / layer.name / "python", target, ignore=shutil.ignore_patterns("__pycache__"))
    if interpreter:
        compile_all(layer.stage, interpreter)
    pack(layer.stage, layer.archive)
    unpacked = sum(file.stat().st_size for file in layer.stage.rglob("*") if file.is_file())
    packed = layer.archive.stat().st_size
    say(f"{layer.name}: {layer.archive.relative_to(ROOT)}, {packed / MB:.1f} MB ({unpacked / MB:.1f} MB unpacked)")
    if packed > MAIN_REGION_MB * MB:
        raise BuildError(f"{layer.archive} is larger than the {MAIN_REGION_MB} MB that the service takes; prune more")
    if packed > OTHER_REGION_MB * MB:
        say(f"{layer.name}: only the main regions take more than {OTHER_REGION_MB} MB; see the service's quota page")


def install_wheels(target: Path, runtime: str) -> None:
    """Install the pinned wheels of a runtime, hashes checked."""
    pins = target.parent / "requirements.txt"
    minor = int(runtime.rpartition(".")[2])
    source = ROOT / "layers/dependencies/requirements.txt"
    pins.write_text(pins_for(source.read_text(encoding="utf-8"), minor), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--upgrade"]
    command += ["--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:", "--target", str(target)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command += ["--implementation", "cp", "--python-version", f"3.{minor}", "--requirement", str(pins)]
    # --upgrade: where two wheels bring a folder bin, the second one replaces the first, and pip doesn't warn of it.
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # pip of this interpreter
    pins.unlink()
    if done.returncode:
        raise BuildError(f"pip could not install the wheels for {runtime}:\n{done.stderr}")


def pins_for(text: str, minor: int) -> str:
    """The pins that are for Python 3.MINOR, without their markers; `text` is a requirements.txt."""
    kept = []
    # A pin is its first line and the indented ones with its hashes.
    for pin in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
        marker = MARKER.search(pin)
        if " ; " in pin and not marker:
            raise BuildError(f"layers/dependencies/requirements.txt: can't tell whether this is for 3.{minor}: {pin}")
        if marker is None or (minor < int(marker["minor"])) == (marker["than"] == "<"):
            kept.append(MARKER.sub("", pin))
    return "".join(kept)


def prune(target: Path) -> int:
    """Remove what isn't used at run time; how many bytes that freed."""
    before = size(target)
    found = [name for name in UNWANTED if (target / name).exists()]
    if found:
        raise BuildError(
            f"{' and '.join(found)} came with the dependencies and would slow every cold start; pin without"
        )
    for name in (*JUNK, *PYARROW_JUNK, *KAFKA_JUNK):
        shutil.rmtree(target / name, ignore_errors=True)
    for file in [file for file in target.rglob("*") if file.is_file()]:
        binary = file.parent == target / "pyarrow" and ".so" in file.name
        # RECORD lists files that are gone; REQUESTED and INSTALLER are pip's own.
        if (
            file.suffix in SOURCES
            or (binary and not PYARROW_BINARIES.fullmatch(file.name))
            or file.name in {"RECORD", "REQUESTED", "INSTALLER"}
        ):
            file.unlink()
    return before - size(target)


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def compile_all(stage: Path, interpreter: Path) -> None:
    """Write .pyc files that are used without a look at their source, with the paths that they have under /opt."""
    command = [str(interpreter), "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(stage), "-p", "/opt", str(stage / "python")]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}  # the order of constant sets in the files depends on it
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 # Python
    if done.returncode:
        raise BuildError(f"{interpreter} can't compile what is in {stage}:\n{done.stdout}{done.stderr}")


def check_imports(folders: list[Path], interpreter: Path) -> None:
    """Import every module of the sink with the layers in these folders and nothing else, and compress.

    What fails here has been pruned too much.
    """
    path = [str(folder) for folder in (ROOT / "functions/sink", *folders)]
    program = f"""
import sys
sys.path[:0] = {path!r}
import importlib, pkgutil
import confluent_kafka.admin, fc_powertools, google_crc32c, index, kafka_maxcompute, maxcompute_sink, odps.tunnel
import pyarrow, tzdata
login = {{"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "p"}}
confluent_kafka.Producer({{"security.protocol": "SASL_SSL", **login}})
for package in (fc_powertools, kafka_maxcompute, maxcompute_sink):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
assert google_crc32c.implementation == "c"
for codec in ("lz4", "zstd"):
    assert pyarrow.decompress(pyarrow.compress(b"a" * 99, codec), 99, codec) == b"a" * 99
"""
    command = [str(interpreter), "-I", "-S", "-B", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # the runtime's Python
    if done.returncode:
        raise BuildError(f"what is left after pruning can't do what the functions need:\n{done.stderr}")


def pack(stage: Path, archive: Path) -> None:
    """Zip a folder: sorted names, one date, one mode."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for file in sorted(file for file in stage.rglob("*") if file.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(stage).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if file.suffix == ".so" else 0o644) << 16
            packed.writestr(entry, file.read_bytes())
    unfinished.replace(archive)


def find_interpreter(runtime: str) -> Path | None:
    """A Python of the runtime's minor version: this one, one on PATH, or one of pyenv's; None if there is none."""
    minor = int(runtime.rpartition(".")[2])
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [*map(Path, os.get_exec_path()), *sorted(pyenv.glob("versions/*/bin"), reverse=True)]
    for python in [Path(sys.executable), *(folder / runtime for folder in folders)]:
        if python.exists() and _minor(python) == minor:
            return python
    return None


def _minor(python: Path) -> int | None:
    """An interpreter's minor version; None where it's a shim without a Python behind it."""
    asked = subprocess.run(  # noqa: S603 # it was found under a Python's name
        [python, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, text=True, check=False
    )
    return int(asked.stdout) if asked.returncode == 0 else None


def next_steps(layers: list[Layer]) -> str:
    """How to publish what was built, and what to do with the versions that come back."""
    region = os.environ.get("CONNECTOR_REGION", "cn-hangzhou")
    lines = ["", "Next, publish them (each command answers with a version number):", ""]
    lines += [
        f"  s cli fc3 layer publish --region {region} --layer-name {layer.published_name} "
        f"--compatible-runtime {layer.runtime} --description {layer.description} "
        f"--code {layer.archive.relative_to(ROOT)}"
        for layer in layers
    ]
    lines += ["", "then set the versions and deploy:", ""]
    lines += [f"  export LAYER_{layer.name.upper()}_VERSION=..." for layer in layers]
    runtime = layers[0].runtime
    lines += [f"  {'' if runtime == RUNTIMES[0] else f'RUNTIME={runtime} '}s deploy -t template.yml"]
    return "\n".join(lines)


def version() -> str:
    """The release of what is built."""
    text = (ROOT / "layers/connector/python/kafka_maxcompute/__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)[0]


def say(text: str) -> None:
    """A line for whoever runs this, at once."""
    print(text, flush=True)  # noqa: T201 # it's a command


if __name__ == "__main__":
    sys.exit(main())
