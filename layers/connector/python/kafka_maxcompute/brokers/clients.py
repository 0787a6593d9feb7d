"""The way to the brokers: what every Kafka client of this project is configured with.

Secrets are looked up here, each time again; they are in the configuration and nowhere else, so it isn't to be logged.
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
"""How long a connection with its handshakes, and one request, may take; a client's own deadlines make them shorter."""
SECRET_SECONDS = 20.0
"""How long KMS is asked, all attempts together."""
APPENDING: dict[str, object] = {"acks": "all", "enable.idempotence": True}
READING: dict[str, object] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # It decides what the end of a log is, too. With librdkafka's default, read_committed, brokers give the last stable
    # offset. An open transaction holds that back, so records that are delivered and settled would lie beyond the end.
    "isolation.level": "read_uncommitted",
}


def configuration(
    settings: Settings,
    environment: Mapping[str, str],
    credentials: Credentials | None = None,
    deadline: Deadline | None = None,
    *,
    told: str = "",
) -> dict[str, Any]:
    """The properties of librdkafka that are common to every client; its `error_cb` is the clients' `login.Login`.

    `environment` is the function's: it has the values of references of the form env:NAME, and says to which brokers
    secrets may go. `told` are further brokers, as the control plane tells them for an instance of the account.
    `credentials` are the role's, for references of the form kms:NAME. Raises `ConfigurationError` with every fault,
    before any secret is looked up if it may not go there, `UnavailableError` or `DeadlineError` if KMS doesn't answer.
    """
    destinations = Destinations.of(environment)
    faults = [*destinations.faults(settings), *destinations.broker_faults(settings, told)]
    if faults:
        raise ConfigurationError(faults)
    found: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "client.id": f"kafka-maxcompute-{settings.name}",
        # Nobody joins it here; but a consumer asks for its coordinator, so the user has to have a right to it.
        "group.id": settings.group,
        "socket.connection.setup.timeout.ms": CONNECT_MILLISECONDS,
        "socket.timeout.ms": REQUEST_MILLISECONDS,
        "socket.keepalive.enable": True,
        # Brokers may create a topic that is asked for or written to, with settings of their own; a producer's default
        # is to want that. A topic that isn't there is for provisioning to create, or was deleted on purpose.
        "allow.auto.create.topics": False,
        # Its own lines would go to stderr, past the log's structure; what matters comes to the callback as well.
        "log_level": 0,
        "error_cb": Login(),
    }
    if not settings.bootstrap_servers:
        faults.append("bootstrap_servers isn't set; set it to host:port of the brokers")
    if settings.security_protocol.startswith("SASL_"):
        found["sasl.mechanism"] = settings.sasl_mechanism
        found["sasl.username"] = settings.sasl_username
        if settings.sasl_password.startswith("env:"):
            found["sasl.password"] = _variable(settings.sasl_password.partition(":")[2], environment, faults)
        elif credentials is None:
            wanted = "the keys of a role to ask KMS with"
            faults.append(f"sasl_password: expected {wanted}, found none; give the function a role")
        else:
            until = (deadline or Deadline.after(SECRET_SECONDS)).within(SECRET_SECONDS)
            names, endpoint = {"region": settings.region}, destinations.control
            control = ControlPlane(settings.region, credentials, until, names, endpoint, "the function's role")
            found["sasl.password"] = _kept_secret(kms.secret_name(settings.sasl_password), control, faults)
    if settings.security_protocol.endswith("SSL"):
        found["ssl.endpoint.identification.algorithm"] = "https" if settings.ssl_check_hostname else "none"
        found |= _authority(settings.ssl_ca, environment, faults)
    if faults:
        raise ConfigurationError(faults)
    return found


def producer(configuration: Mapping[str, Any], **changed: object) -> Producer:
    """A producer that is told of a record only when all replicas in sync have it, and that never repeats one."""
    return Producer({**configuration, **APPENDING, **changed})


def consumer(configuration: Mapping[str, Any], group: str, **changed: object) -> LoginConsumer:
    """A consumer that commits nothing by itself; with assign() it never joins the group."""
    return LoginConsumer({**configuration, **READING, "group.id": group, **changed})


def _variable(name: str, environment: Mapping[str, str], faults: list[str]) -> str:
    if not environment.get(name):
        found = f"expected a password in the variable {name}, found none"
        faults.append(f"sasl_password: {found}; give it to the function")
    return environment.get(name, "")


def _kept_secret(name: str, control: ControlPlane, faults: list[str]) -> str:
    try:
        return kms.secret(name, control)
    except RefusedError as error:
        faults.append(f"sasl_password: {error}")
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
