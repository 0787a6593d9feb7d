"""The events of a Kafka source as EventBridge delivers them to a function.

The shapes are from Function Compute's document "formats of event for different triggers" and its samples; the array,
the attributes and `data` are documented. The following isn't verified on the live service, so every form is accepted:

    an element of the array     an object in the documents, a string that holds the object in captures of 2022
    data.timestamp              a string in the documents, a number (epoch milliseconds) in every sample
    data.key                    absent in the one sample that has no key
    data.value                  by the stream's setting: text, any JSON value, or base64 text; absent (presumed) in a
                                tombstone. The event doesn't show the setting
    data.headers                an object with `headers` and `isReadOnly`; the shape of an entry is documented nowhere

The types check the fields that every function needs (topic, partition, offset), and leave other fields as they are.
"""

from __future__ import annotations

from typing import Any

import msgspec


class KafkaData(msgspec.Struct, frozen=True):
    """One Kafka record; `key` and `value` are None if they are null or absent."""

    topic: str
    partition: int
    offset: int
    timestamp: int | str | None = None
    key: Any = None
    value: Any = None
    headers: Any = None

    @property
    def timestamp_ms(self) -> int | None:
        """Epoch milliseconds, also from text; None if the timestamp is absent or isn't a whole number."""
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
    """Return the events of one invocation, from an array of objects or strings, or from a single object or string.

    Raises `msgspec.DecodeError` if the payload isn't JSON, and `msgspec.ValidationError`, with the JSON path, if an
    element isn't a Kafka event; the whole batch fails with the first such element.
    """
    decoded = _batch.decode(payload)
    elements = decoded if isinstance(decoded, list) else [decoded]
    return [_element.decode(element) if isinstance(element, str) else element for element in elements]
