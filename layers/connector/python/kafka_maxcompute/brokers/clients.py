"""The configuration of every Kafka client of this project.

Secrets are read here, each time again. They are only in the configuration, so the configuration must not be logged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer

from fc_powertools import Deadline
from kafka_maxcompute.brokers.login import Login, LoginConsumer
from kafka_maxcompute.control import kms
from kafka_maxcompute.control.control_plane import ControlPlane
from kafka_maxcompute.errors import ConfigurationError, RefusedError
from kafka_maxcompute.settings.destinations import Destinations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Credentials
    from kafka_maxcompute.settings.settings import Settings

CONNECT_MILLISECONDS = 5_000
REQUEST_MILLISECONDS = 20_000
"""Time limits of a connection with its handshakes, and of one request; a client's own deadlines can be shorter."""
IDLE_MILLISECONDS = 60_000
"""After this time without a request a connection is closed; gateways and brokers drop one after minutes."""
SECRET_SECONDS = 20.0
"""Time limit of all attempts together to read a secret from KMS."""
APPENDING: dict[str, object] = {"acks": "all", "enable.idempotence": True}
READING: dict[str, object] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # This also decides what the end of a log is. With librdkafka's default, read_committed, brokers return the last
    # stable offset. An open transaction holds it back, so delivered and settled records would lie beyond the end.
    "isolation.level": "read_uncommitted",
}


def configuration(
    settings: Settings,
    environment: Mapping[str, str],
    credentials: Credentials | None = None,
    deadline: Deadline | None = None,
    *,
    account_brokers: str = "",
) -> dict[str, Any]:
    """Return the properties of librdkafka for every client; their `error_cb` is the clients' `login.Login`.

    `environment` is the function's: it has the values of references of the form env:NAME, and says to which brokers
    secrets may go. `account_brokers` are further brokers that secrets may go to, as the control plane returns them for
    an instance of the account. `credentials` are the role's, for references of the form kms:NAME. Raises
    `ConfigurationError` with every fault (and before a secret is read if it may not go to the brokers), and
    `UnavailableError` or `DeadlineError` if KMS doesn't answer.
    """
    destinations = Destinations.of(environment)
    faults = [*destinations.faults(settings), *destinations.broker_faults(settings, account_brokers)]
    if faults:
        raise ConfigurationError(faults)
    properties: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "client.id": f"kafka-maxcompute-{settings.name}",
        # No client joins the group, but a consumer asks for its coordinator, so the user needs a right to the group.
        "group.id": settings.group,
        "socket.connection.setup.timeout.ms": CONNECT_MILLISECONDS,
        "socket.timeout.ms": REQUEST_MILLISECONDS,
        "socket.keepalive.enable": True,
        # A frozen instance sends no keepalive, and isn't told if a gateway drops its idle connections. After the freeze
        # a request over such a connection would wait for its time limit. So the client closes idle connections itself.
        "connections.max.idle.ms": IDLE_MILLISECONDS,
        # Brokers may create a missing topic, with default settings, if a client asks for it or writes to it; a
        # producer's default allows this. A missing topic is for provisioning to create, or was deleted on purpose.
        "allow.auto.create.topics": False,
        # librdkafka's log lines would go to stderr, outside of the structured log; errors come to error_cb as well.
        "log_level": 0,
        "error_cb": Login(),
    }
    if not settings.bootstrap_servers:
        faults.append("bootstrap_servers isn't set; set it to host:port of the brokers")
    if settings.security_protocol.startswith("SASL_"):
        properties["sasl.mechanism"] = settings.sasl_mechanism
        properties["sasl.username"] = settings.sasl_username
        if settings.sasl_password.startswith("env:"):
            properties["sasl.password"] = _variable(settings.sasl_password.partition(":")[2], environment, faults)
        elif credentials is None:
            faults.append(
                "sasl_password: expected the keys of a role to ask KMS with, found none; give the function a role"
            )
        else:
            until = (deadline or Deadline.after(SECRET_SECONDS)).within(SECRET_SECONDS)
            names, endpoint = {"region": settings.region}, destinations.control
            control = ControlPlane(settings.region, credentials, until, names, endpoint, "the function's role")
            properties["sasl.password"] = _kept_secret(kms.secret_name(settings.sasl_password), control, faults)
    if settings.security_protocol.endswith("SSL"):
        properties["ssl.endpoint.identification.algorithm"] = "https" if settings.ssl_check_hostname else "none"
        properties |= _authority(settings.ssl_ca, environment, faults)
    if faults:
        raise ConfigurationError(faults)
    return properties


def producer(configuration: Mapping[str, Any], **changed: object) -> Producer:
    """Return an idempotent producer: a record is acknowledged once all in-sync replicas have it, and never doubled."""
    return Producer({**configuration, **APPENDING, **changed})


def consumer(configuration: Mapping[str, Any], group: str, **changed: object) -> LoginConsumer:
    """Return a consumer that commits nothing by itself; with assign() it never joins the group."""
    return LoginConsumer({**configuration, **READING, "group.id": group, **changed})


def _variable(name: str, environment: Mapping[str, str], faults: list[str]) -> str:
    if not environment.get(name):
        faults.append(f"sasl_password: expected a password in the variable {name}, found none; set it for the function")
    return environment.get(name, "")


def _kept_secret(name: str, control: ControlPlane, faults: list[str]) -> str:
    try:
        return kms.secret(name, control)
    except RefusedError as error:
        faults.append(f"sasl_password: {error}")
        return ""


def _authority(reference: str, environment: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    """Return librdkafka's properties for the certificate authorities; without a reference, the system's are used."""
    if reference.startswith("env:"):
        name = reference.partition(":")[2]
        text = environment.get(name, "")
        if "BEGIN CERTIFICATE" not in text:
            faults.append(f"ssl_ca: expected PEM text in the variable {name}, found none; set it for the function")
        return {"ssl.ca.pem": text}
    if reference and not Path(reference).is_file():
        faults.append(f"ssl_ca: expected a PEM file at {reference}, found none; put it into the code or a layer")
    return {"ssl.ca.location": reference} if reference else {}
