"""The events of a Kafka source as EventBridge delivers them to a function.

Shapes from Function Compute's document "formats of event for different triggers" and the samples published with it; the
array, the attributes and `data` are documented. Not verified on the live service, and therefore read generously:

    an element of the array     an object in the documents, a string that holds the object in captures of 2022
    data.timestamp              a string in the documents, a number (epoch milliseconds) in every sample
    data.key                    absent in the one sample that has no key
    data.value                  by the stream's setting: text, any JSON value, or base64 text; absent (presumed) in a
                                tombstone. Nothing in the event says which of these is in force
    data.headers                an object with `headers` and `isReadOnly`; the shape of an entry is documented nowhere

The types check what every function needs (topic, partition, offset) and leave the rest as it came.
"""

from __future__ import annotations

from typing import Any

import msgspec


class KafkaData(msgspec.Struct, frozen=True):
    """One Kafka record; `key` and `value` are None for null and for absent, which aren't told apart."""

    topic: str
    partition: int
    offset: int
    timestamp: int | str | None = None
    key: Any = None
    value: Any = None
    headers: Any = None

    @property
    def timestamp_ms(self) -> int | None:
        """Epoch milliseconds, also from text; None where it's absent or no whole number."""
        try:
            return None if self.timestamp is None else int(self.timestamp)
        except ValueError:
            return None


class KafkaEvent(msgspec.Struct, frozen=True):
    """One CloudEvents element around a Kafka record."""

    data: KafkaData
    id: str = ""
    source: str = ""
    specversion: str = ""
    type: str = ""
    datacontenttype: str = ""
    time: str = ""
    subject: str = ""
    aliyunaccountid: str = ""


_batch = msgspec.json.Decoder(list[KafkaEvent | str] | KafkaEvent | str)
_element = msgspec.json.Decoder(KafkaEvent)


def parse_kafka_batch(payload: bytes | str) -> list[KafkaEvent]:
    """The events of one invocation: from an array of objects or of strings, or from one of them alone.

    Raises `msgspec.DecodeError` for what is no JSON, `msgspec.ValidationError`, with the JSON path, for what is no
    Kafka event; the whole batch fails with its first such element.
    """
    found = _batch.decode(payload)
    elements = found if isinstance(found, list) else [found]
    return [_element.decode(element) if isinstance(element, str) else element for element in elements]
