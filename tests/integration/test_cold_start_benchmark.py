"""benchmarks/cold_start.py: it measures both phases of a cold start, and attributes them to packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local_emulator.kafka.embedded import EmbeddedBroker

if TYPE_CHECKING:
    from types import ModuleType

    import pytest

ROOT = Path(__file__).resolve().parents[2]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cold_start", ROOT / "benchmarks/cold_start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


cold_start = load()


def test_a_cold_start_has_an_entry_and_an_initializer(capsys: pytest.CaptureFixture[str]) -> None:
    folders = [ROOT / "layers/powertools/python", ROOT / "layers/connector/python"]
    broker = EmbeddedBroker(dict.fromkeys(cold_start.TOPICS, 1))
    try:
        phases = cold_start.start(
            Path(sys.executable), [*folders, ROOT / "build/layers/dependencies/python"], broker.bootstrap_servers
        )
    finally:
        broker.stop()
    entry, initializer = phases
    assert 0 < entry.cpu < initializer.cpu
    assert "fc_powertools.context" in entry.packages
    assert {"odps.models", "pyarrow.lib", "kafka_maxcompute.ledger"} <= initializer.packages.keys()
    assert {"odps.models", "pyarrow.lib"}.isdisjoint(entry.packages)
    assert cold_start.report("this", [phases]) is (entry.cpu < 0.5 and initializer.cpu < 1.5)
    assert "this entry" in capsys.readouterr().out


def test_a_package_has_the_times_of_its_modules() -> None:
    modules = [("a.b.c", 1.0, 2.0), ("a.b", 0.5, 0.5), ("d", 3.0, 4.0)]
    assert cold_start.packages(modules) == {"a.b": (1.5, 2.5), "d": (3.0, 4.0)}


def test_a_limit_that_is_not_kept_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    slow = cold_start.Phase(1.6, 2.0, {})
    assert not cold_start.report("this", [[cold_start.Phase(0.1, 0.1, {}), slow]])
    assert "this initializer  CPU  1.60 s (bar: < 1.5)   wall  2.00 s  NOT KEPT" in capsys.readouterr().out
