"""The way to the brokers: what every Kafka client of this project is configured with.

Secrets are looked up here, each time anew; they are in the configuration and nowhere else, so it isn't to be logged.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, Producer

from kafka_maxcompute.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import KafkaError

    from fc_powertools import Credentials
    from kafka_maxcompute.settings import Settings

CONNECT_MILLISECONDS = 5_000
REQUEST_MILLISECONDS = 20_000
"""How long a connection with its handshakes, and one request, may take; a client's own deadlines make them shorter."""
APPENDING: dict[str, object] = {"acks": "all", "enable.idempotence": True}
READING: dict[str, object] = {"enable.auto.commit": False, "enable.auto.offset.store": False}

_log = logging.getLogger(__name__)


def configuration(
    settings: Settings,
    environment: Mapping[str, str],
    credentials: Credentials | None = None,  # noqa: ARG001 # KMS comes next
) -> dict[str, Any]:
    """The properties of librdkafka that are common to every client.

    `environment` is the function's, for references of the form env:NAME; `credentials` are its role's, for kms:NAME.
    Raises `ConfigurationError` with every fault.
    """
    faults: list[str] = []
    found: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "client.id": f"kafka-maxcompute-{settings.name}",
        "socket.connection.setup.timeout.ms": CONNECT_MILLISECONDS,
        "socket.timeout.ms": REQUEST_MILLISECONDS,
        "socket.keepalive.enable": True,
        # Its own lines would go to stderr, past the log's structure; what matters comes to the callback as well.
        "log_level": 0,
        "error_cb": _tell,
    }
    if not settings.bootstrap_servers:
        faults.append("bootstrap_servers isn't set; set it to host:port of the brokers")
    if settings.security_protocol.startswith("SASL_"):
        found["sasl.mechanism"] = settings.sasl_mechanism
        found["sasl.username"] = settings.sasl_username
        found["sasl.password"] = _secret(settings.sasl_password, environment, faults)
    if settings.security_protocol.endswith("SSL"):
        found["ssl.endpoint.identification.algorithm"] = "https" if settings.ssl_check_hostname else "none"
        found |= _authority(settings.ssl_ca, environment, faults)
    if faults:
        raise ConfigurationError(faults)
    return found


def producer(configuration: Mapping[str, Any], **changed: object) -> Producer:
    """A producer that is told of a record only when all replicas in sync have it, and that never repeats one."""
    return Producer({**configuration, **APPENDING, **changed})


def consumer(configuration: Mapping[str, Any], group: str, **changed: object) -> Consumer:
    """A consumer that commits nothing by itself; with assign() it never joins the group."""
    return Consumer({**configuration, **READING, "group.id": group, **changed})


def _secret(reference: str, environment: Mapping[str, str], faults: list[str]) -> str:
    kind, _, name = reference.partition(":")
    if kind == "env" and environment.get(name):
        return environment[name]
    faults.append(f"sasl_password: expected a password in the variable {name}, found none; give it to the function")
    return ""


def _authority(reference: str, environment: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    """Where librdkafka gets the certificates of authorities from; without a reference, from the system."""
    if reference.startswith("env:"):
        name = reference.partition(":")[2]
        text = environment.get(name, "")
        if "BEGIN CERTIFICATE" not in text:
            faults.append(f"ssl_ca: expected PEM text in the variable {name}, found none; give it to the function")
        return {"ssl.ca.pem": text}
    if reference and not Path(reference).is_file():
        faults.append(f"ssl_ca: expected a PEM file at {reference}, found none; put it into the code or a layer")
    return {"ssl.ca.location": reference} if reference else {}


def _tell(error: KafkaError) -> None:
    _log.warning("brokers", extra={"error": error.name(), "message_of_client": error.str()})
