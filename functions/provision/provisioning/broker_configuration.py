"""What clients of the brokers are made with: addresses from the settings or of the Kafka instance, and the login."""

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
    """Librdkafka's properties, with the password: not to be logged.

    Raises `RefusedError` if nobody says where the brokers are, or a secret is missing.
    """
    instance = find_instance(settings, control) if _asks_the_control_plane(settings, environment) else {}
    servers = settings.bootstrap_servers or network.servers(instance, settings.security_protocol)
    if not servers:
        has = f"instance {settings.instance_id} shows no address for {settings.security_protocol}"
        raise RefusedError(f"{has}; set bootstrap_servers, or security_protocol to what it offers", code=NO_WAY)
    complete = replace(settings, bootstrap_servers=servers)
    try:
        told = network.every_server(instance)
        return clients.configuration(complete, environment, control.credentials, told=told)
    except ConfigurationError as error:
        raise RefusedError("; ".join(error.faults), code=NO_WAY) from None


def find_instance(settings: Settings, control: ControlPlane) -> dict[str, Any]:
    """The Kafka instance as the service describes it; empty where the region has none of that id."""
    answer = control.call(GET_INSTANCES, {"RegionId": settings.region, "InstanceId.1": settings.instance_id})
    found = (answer.get("InstanceList") or {}).get("InstanceVO") or []
    return next((one for one in found if one.get("InstanceId") == settings.instance_id), {})


def _asks_the_control_plane(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Whether it takes the account's instance to know the brokers, or to know that they are the account's own."""
    if not settings.bootstrap_servers:
        return True
    return bool(settings.instance_id) and any(Destinations.of(environment).broker_faults(settings))
