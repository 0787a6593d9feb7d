"""What a wheel has beside the metadata in pyproject.toml: the local cloud, and the project that the cloud deploys."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

TOPS = ("deployment", "local_emulator")
ROOT = Path(__file__).resolve().parent
PROJECT = "local_emulator.carried"
"""Not a package: the folder in the wheel that has the template, the functions and the layers as a checkout has them."""


def dependencies() -> list[str]:
    """The pins that `make run` installs, so that the command runs with what is tested; without their hashes."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return [line.removesuffix("\\").strip() for line in text.splitlines() if re.match(r"[\w.\[\]-]+==", line)]


class BuildFromSources(build_py):
    """Copies the packages into build/lib, from which the wheel is made, without what an earlier build left there."""

    def run(self) -> None:
        """Remove the earlier copies first; an editable installation has none."""
        if not self.editable_mode:
            for earlier in (Path(self.build_lib) / top for top in TOPS):
                if earlier.exists():
                    shutil.rmtree(earlier)
        super().run()


setup(
    cmdclass={"build_py": BuildFromSources},
    packages=[*find_packages(include=[pattern for top in TOPS for pattern in (top, f"{top}.*")]), PROJECT],
    package_dir={PROJECT: "."},
    package_data={
        "": ["*.cjs", "*.json", "*.xml"],
        PROJECT: [
            "template.yml",
            "functions/**/*.py",
            "layers/*/python/**/*.py",
            "layers/dependencies/requirements.txt",
        ],
    },
    install_requires=dependencies(),
    version=re.findall(
        r'^__version__ = "([^"]+)"$',
        (ROOT / "layers/connector/python/kafka_maxcompute/__init__.py").read_text(encoding="utf-8"),
        re.MULTILINE,
    )[0],
)
