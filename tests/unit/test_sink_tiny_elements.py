"""A payload of a million tiny elements, which no stream sends: read within the function's memory and time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maxcompute_sink.decode import ALONE

ROOT = Path(__file__).parents[2]

TINY = """
import sys, time
from maxcompute_sink.decode import Decoder
from pathlib import Path
decoder = Decoder("Text")
decoded = decoder.decode(b"[" + b",".join([sys.argv[1].encode()] * 1_000_000) + b"]")
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
print(decoded.elements, len(decoded.rejected), len(decoded.records), peak, time.process_time())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read as Linux tells it")
@pytest.mark.parametrize("tiny", ["1", "{}", '"{}"'])
def test_a_million_tiny_elements_stay_within_512_mb(tiny: str) -> None:
    folders = [ROOT / part for part in ("functions/sink", "layers/connector/python", "layers/powertools/python")]
    environment = {"PYTHONPATH": ":".join(map(str, folders))}
    told = subprocess.run([sys.executable, "-c", TINY, tiny], check=True, capture_output=True, env=environment).stdout
    *counts, seconds = told.split()
    elements, rejected, records, peak = map(int, counts)
    assert (elements, records) == (1_000_000, 0)
    assert ALONE < rejected < ALONE + 100
    assert peak < 512
    assert float(seconds) < 60
