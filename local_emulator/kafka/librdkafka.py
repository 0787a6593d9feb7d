"""The C library inside the confluent-kafka wheel, by ctypes, with the functions that the embedded broker needs.

librdkafka's mock cluster is a public, experimental C API (rdkafka_mock.h) that confluent-kafka doesn't offer in Python.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path

import confluent_kafka

from local_emulator.kafka.errors import BrokerError

PRODUCER = 0
"""RD_KAFKA_PRODUCER of rd_kafka_type_t; the mock cluster needs a handle of any type."""

_POINTER = ctypes.c_void_p
_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "rd_kafka_conf_new": (_POINTER, ()),
    "rd_kafka_conf_destroy": (None, (_POINTER,)),
    "rd_kafka_conf_set": (ctypes.c_int, (_POINTER, *[ctypes.c_char_p] * 3, ctypes.c_size_t)),
    "rd_kafka_new": (_POINTER, (ctypes.c_int, _POINTER, ctypes.c_char_p, ctypes.c_size_t)),
    "rd_kafka_destroy": (None, (_POINTER,)),
    "rd_kafka_err2str": (ctypes.c_char_p, (ctypes.c_int,)),
    "rd_kafka_mock_cluster_new": (_POINTER, (_POINTER, ctypes.c_int)),
    "rd_kafka_mock_cluster_destroy": (None, (_POINTER,)),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, (_POINTER,)),
    "rd_kafka_mock_topic_create": (ctypes.c_int, (_POINTER, ctypes.c_char_p, ctypes.c_int, ctypes.c_int)),
    "rd_kafka_mock_topic_delete": (ctypes.c_int, (_POINTER, ctypes.c_char_p)),
    "rd_kafka_mock_partition_delete_records": (
        ctypes.c_int,
        (_POINTER, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int64),
    ),
    "rd_kafka_mock_set_controller_id": (ctypes.c_int, (_POINTER, ctypes.c_int32)),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, (_POINTER, ctypes.c_int32)),
}


@lru_cache(maxsize=1)
def load() -> ctypes.CDLL:
    """Return the library that confluent-kafka has loaded, with the functions' types set; raises BrokerError."""
    candidates = _candidates()
    for path in candidates:
        library = ctypes.CDLL(str(path))
        if all(hasattr(library, name) for name in _SIGNATURES):
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(library, name)
                function.restype = result
                function.argtypes = list(arguments)
            return library
    searched = ", ".join(path.name for path in candidates) or "no library at all"
    raise BrokerError(
        f"no librdkafka with a mock cluster in confluent-kafka {confluent_kafka.__version__} (searched: {searched}); "
        "install its wheel from requirements.txt, or run with a real broker: KAFKA=apache or KAFKA=host:port"
    )


def _candidates() -> list[Path]:
    """Return the paths of the library in wheels: beside the package (Linux), inside it (macOS), or the extension."""
    package = Path(confluent_kafka.__file__).parent
    beside = package.parent / "confluent_kafka.libs"
    return [
        *sorted(beside.glob("librdkafka*")),
        *sorted((package / ".dylibs").glob("librdkafka*")),
        *sorted(package.glob("cimpl*.so")),
    ]
