"""The configuration of the brokers' clients: addresses from the settings or from the Kafka instance, and the login."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.brokers import clients
from kafka_maxcompute.errors import ConfigurationError, RefusedError
from kafka_maxcompute.settings.destinations import Destinations
from provisioning import network
from provisioning.operations import GET_INSTANCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka_maxcompute.control.control_plane import ControlPlane
    from kafka_maxcompute.settings.settings import Settings

NO_WAY = "NoWayToTheBrokers"


def configuration(settings: Settings, control: ControlPlane, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return librdkafka's properties; they contain the password, so they must not be logged.

    Raises `RefusedError` if neither settings nor instance have the brokers' addresses, or a secret is missing.
    """
    instance = find_instance(settings, control) if _needs_instance(settings, environment) else {}
    servers = settings.bootstrap_servers or network.servers(instance, settings.security_protocol)
    if not servers:
        missing = f"instance {settings.instance_id} lists no address for {settings.security_protocol}"
        remedy = "set bootstrap_servers, or security_protocol to a protocol that the instance offers"
        raise RefusedError(f"{missing}; {remedy}", code=NO_WAY)
    complete = replace(settings, bootstrap_servers=servers)
    try:
        addresses = network.every_server(instance)
        return clients.configuration(complete, environment, control.credentials, account_brokers=addresses)
    except ConfigurationError as error:
        raise RefusedError("; ".join(error.faults), code=NO_WAY) from None


def find_instance(settings: Settings, control: ControlPlane) -> dict[str, Any]:
    """Return the Kafka instance as the service describes it; empty if the region has no instance with this id."""
    answer = control.call(GET_INSTANCES, {"RegionId": settings.region, "InstanceId.1": settings.instance_id})
    instances = (answer.get("InstanceList") or {}).get("InstanceVO") or []
    return next((instance for instance in instances if instance.get("InstanceId") == settings.instance_id), {})


def _needs_instance(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Return whether only the instance's description has the addresses, or proves that they belong to the account."""
    if not settings.bootstrap_servers:
        return True
    return bool(settings.instance_id) and any(Destinations.of(environment).broker_faults(settings))
