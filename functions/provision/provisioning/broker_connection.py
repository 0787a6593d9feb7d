"""Checks whether the brokers can be reached and accept the login; an error has the brokers' words and a remedy."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from kafka_maxcompute.errors import ConfigurationError, UnavailableError
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Deadline

SECONDS = 10.0
"""The longest time for all attempts together."""
ATTEMPT_SECONDS = 1.0
"""The time of one attempt; then the brokers' errors so far are read, while the connections go on."""
_LOGIN = (
    "fix sasl_username, sasl_password or sasl_mechanism, or security_protocol if this listener doesn't ask for a login"
)
_CERTIFICATE = (
    "give the authority of the brokers' certificate in ssl_ca; if the certificate doesn't name the broker, as with "
    "ApsaraMQ for Kafka, set ssl_check_hostname to false"
)
_PROTOCOL = "set security_protocol to this listener's protocol"
_NETWORK = (
    "check bootstrap_servers, that the function is in the brokers' VPC, and the security group or whitelist; listeners "
    "with TLS or a login close a connection without TLS or login: check security_protocol, too"
)
# librdkafka's codes of errors in the settings, for which another attempt is useless.
_REMEDIES = {
    KafkaError._AUTHENTICATION: _LOGIN,  # noqa: SLF001 - its public name, as those below
    KafkaError.SASL_AUTHENTICATION_FAILED: _LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _LOGIN,
    KafkaError._SSL: _CERTIFICATE,  # noqa: SLF001
}
_WRONG_LISTENER = "PLAINTEXT broker listener"


def reach(configuration: Mapping[str, Any], deadline: Deadline) -> dict[str, int]:
    """Return the topics that the brokers list for this user, each with its number of topic-partitions.

    `configuration` is made by `broker_configuration`. Raises `ConfigurationError` with the brokers' own words if they
    refuse the settings, and `UnavailableError` if no broker answers.
    """
    errors: list[KafkaError] = []

    def topics() -> dict[str, int]:
        try:
            # List all topics: a request for a single topic may create the topic.
            listed = client.list_topics(timeout=min(ATTEMPT_SECONDS, deadline.remaining())).topics
        except KafkaException as error:
            client.poll(0)
            raise _error(errors, error.args[0], configuration) from None
        return {name: len(topic.partitions) for name, topic in listed.items()}

    # A separate client, because its error callback collects the brokers' errors.
    with closing(Producer({**configuration, "error_cb": errors.append})) as client:
        return until(deadline.within(SECONDS))(topics)


def _error(
    errors: list[KafkaError], last: KafkaError, configuration: Mapping[str, Any]
) -> ConfigurationError | UnavailableError:
    """Return the most specific error: about settings, then about the network, librdkafka's summary if no other."""
    where = f"brokers {configuration['bootstrap.servers']}, with {configuration['security.protocol']}"
    for error in errors:
        if _WRONG_LISTENER in error.str():
            return ConfigurationError([f"{where}: {error.str()}; {_PROTOCOL}"])
    for error in errors:
        if error.code() in _REMEDIES:
            return ConfigurationError([f"{where}: {error.str()}; {_REMEDIES[error.code()]}"])
    summary = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
    specific = next((error for error in reversed(errors) if error.code() != summary), last)
    return UnavailableError(f"{where}: {specific.str()}; {_NETWORK}")
