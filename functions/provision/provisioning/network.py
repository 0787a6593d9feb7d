"""The brokers' addresses, and the network that a function needs to reach them. Pure.

The protocols of an instance's addresses are from ApsaraMQ for Kafka's page "Comparison among endpoints" (2026).
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_maxcompute.settings.settings import Settings

VPC_ADDRESS = "-vpc.alikafka."
"""A part of the host names that reach an instance in its VPC."""
_ENDPOINTS = {
    "PLAINTEXT": ("DomainEndpoint", "EndPoint"),
    "SASL_PLAINTEXT": ("SaslDomainEndpoint", "SaslEndPoint"),
    # The first two are in the VPC, and exist only if the instance is configured for them; the others are public.
    "SASL_SSL": ("VpcSaslDomainEndpoint", "VpcSaslEndPoint", "SslDomainEndpoint", "SslEndPoint"),
    "SSL": ("SslDomainEndpoint", "SslEndPoint"),
}
"""The fields of GetInstanceList by protocol, in the order of preference."""


def is_foreign(settings: Settings) -> bool:
    """Return whether the source isn't an instance of ApsaraMQ for Kafka."""
    return settings.control == "admin" and not settings.instance_id


def variables(instance: dict[str, Any], settings: Settings) -> dict[str, str]:
    """Return the variables of template.yml that the instance's description decides (D07), without empty ones.

    Settings that name a VPC, vSwitch or brokers have precedence.
    """
    switch = settings.vswitch_id or next(iter(switches(instance)), "")
    values = {
        "CONNECTOR_VPC_ID": settings.vpc_id or str(instance.get("VpcId") or ""),
        "CONNECTOR_VSWITCH_ID": switch,
        "VSWITCH_IDS": json.dumps([switch]) if switch else "",
        "SECURITY_GROUP_ID": str(instance.get("SecurityGroup") or ""),
        "CONNECTOR_BOOTSTRAP_SERVERS": settings.bootstrap_servers or servers(instance, settings.security_protocol),
    }
    return {name: value for name, value in values.items() if value}


def servers(instance: dict[str, Any], protocol: str) -> str:
    """Return the instance's addresses for a protocol, separated by commas; "" if it has none."""
    return next((str(instance[field]) for field in _ENDPOINTS[protocol] if instance.get(field)), "")


def every_server(instance: dict[str, Any]) -> str:
    """Return all addresses of the instance, for any protocol, separated by commas."""
    fields = dict.fromkeys(field for listed in _ENDPOINTS.values() for field in listed)
    return ",".join(str(instance[field]) for field in fields if instance.get(field))


def switches(instance: dict[str, Any]) -> tuple[str, ...]:
    """Return the ids of the instance's vSwitches, first the vSwitch that the instance was created in."""
    field = instance.get("VSwitchIds")
    listed = field.get("VSwitchIds", []) if isinstance(field, dict) else field or []
    return tuple(dict.fromkeys(str(switch) for switch in [instance.get("VSwitchId"), *listed] if switch))


def inside(bootstrap_servers: str) -> bool:
    """Return whether at least one of these brokers can be reached only in a VPC."""
    return any(_inside(address.strip().rpartition(":")[0]) for address in bootstrap_servers.split(","))


def _inside(host: str) -> bool:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return VPC_ADDRESS in host
    return address.is_private and not address.is_loopback
