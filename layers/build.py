"""Build the three layers into dist/ (`make layers`): archives that unpack to /opt/python.

The same input gives the same bytes. The wheels are for the runtime, independent of the Python that runs this program.
They are pruned to what the functions use. All modules are compiled, because layers are read-only: without .pyc files a
cold start takes three times the CPU time (1.5 s instead of 0.5 s).
"""  # noqa: INP001 # run as a file; `layers` is a folder of layers, not a package

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "build/layers"
DIST = ROOT / "dist"
RUNTIMES = ("python3.10", "python3.12")
# python3.10 runs on Debian 10 (glibc 2.28), python3.12 on Debian 11; a wheel's platform has the oldest glibc it needs.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)] + ["manylinux2014_x86_64"]
MB = 1_000_000
# The largest code or layer, by the quota page of April 2026: in the regions that the page calls main, and in others.
MAIN_REGION_MB = 500
OTHER_REGION_MB = 100

# Folders that PyODPS's wheel brings and that nothing here imports.
JUNK = ("benchmarks", "bin", "docs", "examples", "misc", "notebooks", "odps_scripts", "odps/static")
PYARROW_JUNK = ("pyarrow/include", "pyarrow/includes", "pyarrow/src", "pyarrow/tests")
# Parts of confluent-kafka that only their users import: a client of schema registries, Avro, tests, asyncio.
KAFKA_JUNK = tuple(f"confluent_kafka/{name}" for name in ("aio", "avro", "kafkatest", "schema_registry"))
SOURCES = {".c", ".cc", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx"}
# pyarrow.lib needs all these libraries, because libarrow_python is linked with them. The extensions of flight, S3,
# Substrait and other modules can be removed. Wheels have each library under up to three names: the linker needs
# lib*.so.NNNN.
PYARROW_BINARIES = re.compile(
    r"(lib|_compute)\.cpython-.*\.so|"
    r"lib(arrow|arrow_acero|arrow_compute|arrow_dataset|arrow_python|arrow_substrait|parquet)\.so\.\d+"
)
# Large packages that no dependency may need: numpy alone adds up to 0.1 s to pyarrow's import.
UNWANTED = ("numpy", "pandas")
# The environment marker of the pins; pip would evaluate it for its own Python, not for the runtime's.
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
        """The layer's name in template.yml's ARNs."""
        return f"kafka-maxcompute-{self.name}"

    @property
    def description(self) -> str:
        """The release of a published version; the service's own version numbers don't tell the release."""
        return f"kafka-maxcompute-{version()}"

    @property
    def archive(self) -> Path:
        """The archive's path."""
        return DIST / f"{self.published_name}-{self.runtime}.zip"

    @property
    def stage(self) -> Path:
        """The folder with the archive's files."""
        return STAGE / self.runtime / self.name

    @property
    def digest(self) -> Path:
        """The file with the digest of the archive's inputs."""
        return STAGE / self.runtime / f"{self.name}.sha256"


def main() -> int:
    """Build all three layers; return the exit code."""
    parser = argparse.ArgumentParser(description="Build the functions' layers into dist/.")
    parser.add_argument("runtime", nargs="?", default=os.environ.get("RUNTIME") or RUNTIMES[0], choices=RUNTIMES)
    parser.add_argument("--quiet", action="store_true", help="don't print how to publish the layers")
    options = parser.parse_args()
    runtime = options.runtime
    try:
        interpreter = find_interpreter(runtime)
        if interpreter is None:
            say(
                f"WARNING: expected {runtime} on this machine, found none: the layers have no compiled files. Every "
                "cold start will take about 1 s of CPU time longer, and the imports of the dependencies aren't "
                f"checked. Install {runtime} (the minor version has to match) and run this again."
            )
        layers = [Layer(name, runtime) for name in ("powertools", "connector", "dependencies")]
        changed = [layer for layer in layers if not is_built(layer, interpreter)]
        for layer in layers:
            if layer in changed:
                build(layer, interpreter)
                layer.digest.write_text(inputs(layer, interpreter), encoding="utf-8")
            else:
                say(f"{layer.name}: {layer.archive.relative_to(ROOT)} is as its sources are")
        if interpreter and changed:
            check_imports([layer.stage / "python" for layer in layers], interpreter)
            say(f"checked: the sink's modules can be imported with only these layers on {runtime}")
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not options.quiet:
        say(next_steps(layers))
    return 0


def is_built(layer: Layer, interpreter: Path | None) -> bool:
    """Return whether the archive is that of the present inputs."""
    digest = layer.digest.read_text(encoding="utf-8") if layer.digest.exists() else ""
    return layer.archive.exists() and layer.stage.exists() and digest == inputs(layer, interpreter)


def inputs(layer: Layer, interpreter: Path | None) -> str:
    """Return a digest of everything that decides about an archive: sources or pins, this program, and the compiler."""
    folder = ROOT / "layers" / layer.name
    sources = [folder / "requirements.txt"] if layer.name == "dependencies" else sorted((folder / "python").rglob("*"))
    digest = hashlib.sha256(f"{layer.runtime} {_release(interpreter)} {zlib.ZLIB_RUNTIME_VERSION}".encode())
    for file in [Path(__file__).resolve(), *sources]:
        if file.is_file() and "__pycache__" not in file.parts:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(ROOT)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _release(interpreter: Path | None) -> str:
    command = [str(interpreter), "-VV"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout if interpreter else "none"  # noqa: S603


def build(layer: Layer, interpreter: Path | None) -> None:
    """Stage one layer, compile it, pack it, and print its size."""
    shutil.rmtree(layer.stage, ignore_errors=True)
    target = layer.stage / "python"
    target.parent.mkdir(parents=True)
    if layer.name == "dependencies":
        say(f"{layer.name}: wheels for {layer.runtime} ...")
        install_wheels(target, layer.runtime)
        freed = prune(target)
        say(f"{layer.name}: removed {freed / MB:.0f} MB that no function uses")
    else:
        shutil.copytree(ROOT / "layers" / layer.name / "python", target, ignore=shutil.ignore_patterns("__pycache__"))
    if interpreter:
        compile_all(layer.stage, interpreter)
    pack(layer.stage, layer.archive)
    unpacked = sum(file.stat().st_size for file in layer.stage.rglob("*") if file.is_file())
    packed = layer.archive.stat().st_size
    say(f"{layer.name}: {layer.archive.relative_to(ROOT)}, {packed / MB:.1f} MB ({unpacked / MB:.1f} MB unpacked)")
    if packed > MAIN_REGION_MB * MB:
        raise BuildError(
            f"{layer.archive}: expected at most {MAIN_REGION_MB} MB, which the service accepts, found "
            f"{packed / MB:.0f} MB; prune more"
        )
    if packed > OTHER_REGION_MB * MB:
        say(f"{layer.name}: only the main regions accept more than {OTHER_REGION_MB} MB; see the service's quota page")


def install_wheels(target: Path, runtime: str) -> None:
    """Install the pinned wheels for a runtime, with a check of their hashes."""
    pins = target.parent / "requirements.txt"
    minor = int(runtime.rpartition(".")[2])
    source = ROOT / "layers/dependencies/requirements.txt"
    pins.write_text(pins_for(source.read_text(encoding="utf-8"), minor), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--upgrade"]
    command += ["--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:", "--target", str(target)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command += ["--implementation", "cp", "--python-version", f"3.{minor}", "--requirement", str(pins)]
    # --upgrade: if two wheels have a folder bin, the second replaces the first, and pip prints no warning.
    pip = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # pip of this interpreter
    pins.unlink()
    if pip.returncode:
        raise BuildError(f"pip could not install the wheels for {runtime}:\n{pip.stderr}")


def pins_for(text: str, minor: int) -> str:
    """Return the pins for Python 3.MINOR, without their markers; `text` is a requirements.txt."""
    kept = []
    # A pin is its first line and the indented lines with its hashes.
    for pin in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
        marker = MARKER.search(pin)
        if " ; " in pin and not marker:
            raise BuildError(
                "layers/dependencies/requirements.txt: expected a marker such as python_full_version < '3.11', "
                f"found another; compile the pins again, or extend MARKER: {pin}"
            )
        if marker is None or (minor < int(marker["minor"])) == (marker["than"] == "<"):
            kept.append(MARKER.sub("", pin))
    return "".join(kept)


def prune(target: Path) -> int:
    """Remove files that aren't used at run time; return the number of freed bytes."""
    before = size(target)
    unwanted = [name for name in UNWANTED if (target / name).exists()]
    if unwanted:
        raise BuildError(
            f"expected dependencies without {' and '.join(unwanted)}, which would slow every cold start; remove "
            "them from the pins"
        )
    for name in (*JUNK, *PYARROW_JUNK, *KAFKA_JUNK):
        shutil.rmtree(target / name, ignore_errors=True)
    for file in [file for file in target.rglob("*") if file.is_file()]:
        binary = file.parent == target / "pyarrow" and ".so" in file.name
        # RECORD lists removed files, too; REQUESTED and INSTALLER are for pip only.
        if (
            file.suffix in SOURCES
            or (binary and not PYARROW_BINARIES.fullmatch(file.name))
            or file.name in {"RECORD", "REQUESTED", "INSTALLER"}
        ):
            file.unlink()
    return before - size(target)


def size(folder: Path) -> int:
    """Return the number of bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def compile_all(stage: Path, interpreter: Path) -> None:
    """Write .pyc files that Python uses without a check of their source, with their paths under /opt."""
    command = [str(interpreter), "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(stage), "-p", "/opt", str(stage / "python")]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}  # the order of constant sets in the files depends on it
    compiler = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if compiler.returncode:
        raise BuildError(f"{interpreter} can't compile the modules in {stage}:\n{compiler.stdout}{compiler.stderr}")


def check_imports(folders: list[Path], interpreter: Path) -> None:
    """Import every module of the sink with only the layers in these folders, and compress data.

    BuildError if this fails, because too much was pruned.
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
    check = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # the runtime's Python
    if check.returncode:
        raise BuildError(f"the pruned layers lack something that the functions need; prune less:\n{check.stderr}")


def pack(stage: Path, archive: Path) -> None:
    """Zip a folder, with sorted names, and with fixed dates and modes."""
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
    """Return a Python of the runtime's minor version: this Python, or from PATH, or from pyenv; None without any."""
    minor = int(runtime.rpartition(".")[2])
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [*map(Path, os.get_exec_path()), *sorted(pyenv.glob("versions/*/bin"), reverse=True)]
    for python in [Path(sys.executable), *(folder / runtime for folder in folders)]:
        if python.exists() and _minor(python) == minor:
            return python
    return None


def _minor(python: Path) -> int | None:
    """Return an interpreter's minor version; None if it is a shim without a Python."""
    answer = subprocess.run(  # noqa: S603 # the file has the name of a Python
        [python, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, text=True, check=False
    )
    return int(answer.stdout) if answer.returncode == 0 else None


def next_steps(layers: list[Layer]) -> str:
    """Return how to publish the layers, and how to use the version numbers that the service returns."""
    region = os.environ.get("CONNECTOR_REGION", "cn-hangzhou")
    lines = ["", "Next: make deploy publishes the layers that have changed, and deploys the functions with them.", ""]
    lines += ["To publish by hand (each command prints a version number):", ""]
    lines += [
        f"  s cli fc3 layer publish --region {region} --layer-name {layer.published_name} "
        f"--compatible-runtime {layer.runtime} --description {layer.description} "
        f"--code {layer.archive.relative_to(ROOT)}"
        for layer in layers
    ]
    lines += ["", "then put the versions into .env and deploy:", ""]
    lines += [f"  LAYER_{layer.name.upper()}_VERSION=..." for layer in layers]
    runtime = layers[0].runtime
    lines += [f"  {'' if runtime == RUNTIMES[0] else f'RUNTIME={runtime} '}s deploy -t template.yml"]
    return "\n".join(lines)


def version() -> str:
    """Return the release of the built package."""
    text = (ROOT / "layers/connector/python/kafka_maxcompute/__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)[0]


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 # this program is a command


if __name__ == "__main__":
    sys.exit(main())
