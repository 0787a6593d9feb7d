"""Events as EventBridge delivers Kafka records, built one by one, for the tests of everything that reads them."""

from __future__ import annotations

import json
from typing import Any

HOUR_14 = 1_605_594_000_000
"""2020-11-17 14:20:00 at GMT 08:00, the time of the connector document's test message."""


def element(number: int = 0, /, **data: Any) -> dict[str, Any]:
    """One CloudEvents element; `data` overrides or, with `...`, leaves out parts of the record."""
    record = {
        "topic": "orders",
        "partition": 0,
        "offset": number,
        "timestamp": HOUR_14,
        "headers": {"headers": [], "isReadOnly": False},
        "key": f"k{number}",
        "value": f"v{number}",
    } | data
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "source": "acs:alikafka",
        "specversion": "1.0",
        "type": "alikafka:Topic:Message",
        "datacontenttype": "application/json; charset=utf-8",
        "time": "2020-11-17T06:20:00.000Z",
        "subject": "acs:alikafka:alikafka_pre-cn-x:topic:orders",
        "aliyunaccountid": "1880000000000000",
        "data": {name: value for name, value in record.items() if value is not ...},
    }


def payload(*elements: object) -> bytes:
    """The bytes of one invocation."""
    return json.dumps(elements, ensure_ascii=False).encode()
