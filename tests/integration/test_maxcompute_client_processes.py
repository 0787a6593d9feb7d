"""PyODPS's writers and readers in processes made by fork, which have their parent's connections."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.tunnel_clients import make_table, rows_of

if TYPE_CHECKING:
    from odps import ODPS

    from local_emulator.maxcompute.server import MaxComputeServer

SECONDS = 60
CLIENT = """
import multiprocessing
import sys
from odps import ODPS

def write(number, writer):
    writer.write([number])
    writer.close()

endpoint, name = sys.argv[1:]
table = ODPS("ak", "sk", "connector_test", endpoint=endpoint).get_table(name)
multiprocessing.set_start_method("fork")
with table.open_writer() as writer, multiprocessing.Pool(4) as pool:
    for written in [pool.apply_async(write, (number, writer)) for number in range(4)]:
        written.get(30)
with table.open_reader() as reader:
    print(sorted(reader.to_pandas(n_process=2)["number"].tolist()))
"""


def test_processes_dont_get_each_others_answers(emulator: MaxComputeServer, owner: ODPS) -> None:
    table = make_table(owner, "number BIGINT")
    command = [sys.executable, "-c", CLIENT, emulator.endpoint, table.name]
    client = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (client.stdout, client.returncode) == ("[0, 1, 2, 3]\n", 0), client.stderr
    assert sorted(rows_of(owner, table)) == [[0], [1], [2], [3]]
