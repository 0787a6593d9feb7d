"""Reads region and network from the address of a MaxCompute service (D19).

Hosts are `service.<region>.maxcompute.aliyun.com` for the Internet and, within the cloud's network,
`service.<region>[-vpc | -intranet].maxcompute.aliyun-inc.com` (MaxCompute's document "Endpoints", 2026; the form
without a suffix is the older one that the connector document shows). Other hosts, such as a local emulator's, have
neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from kafka_maxcompute.settings.names import REGION

Network = Literal["public", "vpc", "intranet", "unknown"]

_HOST = re.compile(
    r"(?:service|dt)\.(?P<region>[a-z0-9-]+?)(?P<net>-vpc|-intranet)?\.maxcompute\.aliyun(?P<inner>-inc)?\.com"
)


@dataclass(frozen=True, slots=True)
class Place:
    """The region and the network of an endpoint; "" and "unknown" if its host doesn't show them."""

    region: str
    network: Network


NOWHERE = Place("", "unknown")


def locate(endpoint: str) -> Place:
    """Return the region and the network of an endpoint."""
    match = _HOST.fullmatch((urlsplit(endpoint).hostname or "").lower())
    if match is None or not REGION.allows(match["region"]):
        return NOWHERE
    if match["inner"] is None:
        return Place(match["region"], "public")
    return Place(match["region"], "intranet" if match["net"] == "-intranet" else "vpc")
