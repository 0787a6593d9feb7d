"""Where the brokers are, and what a function needs to reach them. Pure.

Which address of an instance speaks which protocol: ApsaraMQ for Kafka's page "Comparison among endpoints" (2026).
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_maxcompute.settings.settings import Settings

VPC_ADDRESS = "-vpc.alikafka."
"""In the host names by which an instance is reached in its VPC."""
_ENDPOINTS = {
    "PLAINTEXT": ("DomainEndpoint", "EndPoint"),
    "SASL_PLAINTEXT": ("SaslDomainEndpoint", "SaslEndPoint"),
    # The first two are in the VPC, and there only where the instance was told so; the others are public.
    "SASL_SSL": ("VpcSaslDomainEndpoint", "VpcSaslEndPoint", "SslDomainEndpoint", "SslEndPoint"),
    "SSL": ("SslDomainEndpoint", "SslEndPoint"),
}
"""The fields of GetInstanceList by protocol, the better one first."""


def is_foreign(settings: Settings) -> bool:
    """Whether the source is no instance of ApsaraMQ for Kafka."""
    return settings.control == "admin" and not settings.instance_id


def variables(instance: dict[str, Any], settings: Settings) -> dict[str, str]:
    """The variables of template.yml that an instance decides (D07), by its description; only those that it does.

    Settings that name a VPC, vSwitch or brokers already are taken over.
    """
    switch = settings.vswitch_id or next(iter(switches(instance)), "")
    found = {
        "CONNECTOR_VPC_ID": settings.vpc_id or str(instance.get("VpcId") or ""),
        "CONNECTOR_VSWITCH_ID": switch,
        "VSWITCH_IDS": json.dumps([switch]) if switch else "",
        "SECURITY_GROUP_ID": str(instance.get("SecurityGroup") or ""),
        "CONNECTOR_BOOTSTRAP_SERVERS": settings.bootstrap_servers or servers(instance, settings.security_protocol),
    }
    return {name: value for name, value in found.items() if value}


def servers(instance: dict[str, Any], protocol: str) -> str:
    """The instance's addresses for a protocol; "" where it has none."""
    return next((str(instance[field]) for field in _ENDPOINTS[protocol] if instance.get(field)), "")


def every_server(instance: dict[str, Any]) -> str:
    """All of the instance's addresses, whatever they speak, separated by commas."""
    fields = dict.fromkeys(field for listed in _ENDPOINTS.values() for field in listed)
    return ",".join(str(instance[field]) for field in fields if instance.get(field))


def switches(instance: dict[str, Any]) -> tuple[str, ...]:
    """The instance's vSwitches, the one that it was made in first."""
    found = instance.get("VSwitchIds")
    listed = found.get("VSwitchIds", []) if isinstance(found, dict) else found or []
    return tuple(dict.fromkeys(str(one) for one in [instance.get("VSwitchId"), *listed] if one))


def inside(bootstrap_servers: str) -> bool:
    """Whether some of these brokers can be reached in a VPC only."""
    return any(_inside(address.strip().rpartition(":")[0]) for address in bootstrap_servers.split(","))


def _inside(host: str) -> bool:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return VPC_ADDRESS in host
    return address.is_private and not address.is_loopback
