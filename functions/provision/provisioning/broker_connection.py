"""Whether the brokers can be reached and let us in; if not, what they say and what to do about it."""

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
"""How long brokers are asked, all attempts together."""
ATTEMPT_SECONDS = 1.0
"""After which it is looked what the brokers have said so far; connections go on meanwhile."""
_LOGIN = (
    "fix sasl_username, sasl_password or sasl_mechanism, or security_protocol if this listener doesn't ask for a login"
)
_CERTIFICATE = (
    "give the authority of the brokers' certificate in ssl_ca; where the certificate doesn't name the broker, as those "
    "of ApsaraMQ for Kafka, set ssl_check_hostname to false"
)
_PROTOCOL = "set security_protocol to that of this listener"
_NETWORK = (
    "check bootstrap_servers, that the function is in the brokers' VPC, and the security group or whitelist; listeners "
    "with TLS or a login close a connection that comes without: check security_protocol too"
)
# What librdkafka says of each cause, and whether it's about the settings: then there is no use in asking again.
_REMEDIES = {
    KafkaError._AUTHENTICATION: _LOGIN,  # noqa: SLF001 - its public name, as those below
    KafkaError.SASL_AUTHENTICATION_FAILED: _LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _LOGIN,
    KafkaError._SSL: _CERTIFICATE,  # noqa: SLF001
}
_WRONG_LISTENER = "PLAINTEXT broker listener"


def reach(configuration: Mapping[str, Any], deadline: Deadline) -> dict[str, int]:
    """The topics that the brokers show to this user, each with its count of topic-partitions.

    `configuration` is that of `broker_configuration`. Raises `ConfigurationError` where the brokers don't take the
    settings, with their own words, and `UnavailableError` where none of them answers.
    """
    told: list[KafkaError] = []

    def topics() -> dict[str, int]:
        try:
            # All topics are asked for: brokers may make a topic that is asked for by its name.
            found = client.list_topics(timeout=min(ATTEMPT_SECONDS, deadline.remaining())).topics
        except KafkaException as error:
            client.poll(0)
            raise _error(told, error.args[0], configuration) from None
        return {name: len(topic.partitions) for name, topic in found.items()}

    # A client of its own, for what the brokers say of it.
    with closing(Producer({**configuration, "error_cb": told.append})) as client:
        return until(deadline.within(SECONDS))(topics)


def _error(
    told: list[KafkaError], last: KafkaError, configuration: Mapping[str, Any]
) -> ConfigurationError | UnavailableError:
    """The error that says most: the settings' before the network's, librdkafka's summary only if there's no other."""
    where = f"brokers {configuration['bootstrap.servers']}, by {configuration['security.protocol']}"
    for error in told:
        if _WRONG_LISTENER in error.str():
            return ConfigurationError([f"{where}: {error.str()}; {_PROTOCOL}"])
    for error in told:
        if error.code() in _REMEDIES:
            return ConfigurationError([f"{where}: {error.str()}; {_REMEDIES[error.code()]}"])
    summary = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
    said = next((error for error in reversed(told) if error.code() != summary), last)
    return UnavailableError(f"{where}: {said.str()}; {_NETWORK}")
