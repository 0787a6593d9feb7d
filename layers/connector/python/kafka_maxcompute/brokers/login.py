"""What the brokers say of the login of the clients that are made with one configuration.

librdkafka never fails a request because a login is refused: it tells the client's `error_cb`, connects again and again,
and the request times out. So whoever waits for the brokers looks here meanwhile, and stops when waiting is no use. If
the password was changed, only new clients, created with the secret's current value, are let in.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError
from confluent_kafka.admin import AdminClient

from kafka_maxcompute.brokers.absences import Absences
from kafka_maxcompute.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Producer

    from fc_powertools import Deadline

REFUSED = "LoginRefused"
"""The code of the error that says so."""
PATIENCE_SECONDS = 2.0
"""How long a wait goes on at least although a login was refused: another broker, or the next try, may let us in."""
SLICE_SECONDS = 0.5
"""How often a wait looks at what the brokers have said."""
LOG_SECONDS = 10.0
"""How often at most the same error of the clients is logged: librdkafka tells it several times a second."""

_REFUSALS = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001 - its public name
    KafkaError.SASL_AUTHENTICATION_FAILED,
}
_log = logging.getLogger(__name__)


class Login:
    """The `error_cb` of some clients; `refused` is what the brokers said, "" if they refused nobody.

    `absences` are the topic-partitions that the brokers haven't listed to these clients.
    """

    def __init__(self) -> None:
        self.refused = ""
        self.absences = Absences()
        self._refused_at = 0.0
        self._logged: dict[str, float] = {}

    def __call__(self, error: KafkaError) -> None:
        """Take note of an error that librdkafka tells; called by a client's poll or flush."""
        now, name = time.monotonic(), error.name()
        if error.code() in _REFUSALS:
            self.refused, self._refused_at = error.str(), now
        if now - self._logged.get(name, -LOG_SECONDS) >= LOG_SECONDS:
            self._logged[name] = now
            _log.warning("brokers", extra={"error": name, "message_of_client": error.str()})

    def forget(self) -> None:
        """Begin again as if nobody had been refused."""
        self.refused = ""

    def check(self, doing: str, *, since: float, patience: float = 0.0) -> None:
        """Raise `RefusedError` if a login was refused since then (monotonic seconds), and so long a wait is over."""
        if self.refused and self._refused_at >= since and time.monotonic() >= since + patience:
            raise RefusedError(
                f"{doing}: the brokers refused the login: {self.refused}; fix sasl_username, sasl_mechanism or the "
                "secret that sasl_password refers to; a changed secret is read again within a minute",
                code=REFUSED,
            )


class LoginConsumer(Consumer):
    """A consumer that knows what its brokers say of its login."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__({**configuration})
        self.login = of(configuration)


class LoginAdmin(AdminClient):
    """An admin client that knows what its brokers say of its login; a context manager that ends it."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__({**configuration})
        self.login = of(configuration)


def of(configuration: Mapping[str, Any]) -> Login:
    """The login of the clients of a configuration; one that nobody tells anything, if it has none."""
    found = configuration.get("error_cb")
    return found if isinstance(found, Login) else Login()


def check_after_failure(client: Consumer, doing: str, *, since: float) -> None:
    """Raise `RefusedError` if a question of a consumer that reads nothing failed because its login was refused."""
    if isinstance(client, LoginConsumer):
        client.poll(0)  # librdkafka calls error_cb from here
        client.login.check(doing, since=since)


def flush(producer: Producer, login: Login, doing: str, deadline: Deadline) -> None:
    """Wait until all that a producer holds is acknowledged or refused, or until the deadline.

    Raises `RefusedError` if the brokers refuse the login; what becomes of the records isn't known then.
    """
    began = time.monotonic()
    while producer.flush(min(SLICE_SECONDS, deadline.remaining())) and not deadline.expired:
        login.check(doing, since=began, patience=PATIENCE_SECONDS)
