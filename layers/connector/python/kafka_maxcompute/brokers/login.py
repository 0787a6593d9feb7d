"""Watches whether the brokers refuse the login of the clients of one configuration.

librdkafka never fails a request because a login is refused: it calls the client's `error_cb`, connects again and again,
and the request times out. So code that waits for the brokers checks the login meanwhile, and stops waiting if it was
refused. After a change of the password, only new clients, created with the secret's current value, can log in.
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
"""The code of the error for a refused login."""
PATIENCE_SECONDS = 2.0
"""Least time that a wait goes on after a refused login: another broker, or the next attempt, may accept the login."""
SLICE_SECONDS = 0.5
"""Time between two checks of the login during a wait."""
LOG_SECONDS = 10.0
"""Least time between two log lines of the same client error: librdkafka reports it several times a second."""

_REFUSALS = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001 - its public name
    KafkaError.SASL_AUTHENTICATION_FAILED,
}
_log = logging.getLogger(__name__)


class Login:
    """The `error_cb` of some clients; `refused` is the brokers' message, "" if they refused no login.

    `absences` remembers the topic-partitions that the brokers' answers lacked.
    """

    def __init__(self) -> None:
        self.refused = ""
        self.absences = Absences()
        self._refused_at = 0.0
        self._logged: dict[str, float] = {}

    def __call__(self, error: KafkaError) -> None:
        """Take note of an error that librdkafka reports; called by a client's poll or flush."""
        now, name = time.monotonic(), error.name()
        if error.code() in _REFUSALS:
            self.refused, self._refused_at = error.str(), now
        if now - self._logged.get(name, -LOG_SECONDS) >= LOG_SECONDS:
            self._logged[name] = now
            _log.warning("brokers", extra={"error": name, "message_of_client": error.str()})

    def forget(self) -> None:
        """Forget that a login was refused."""
        self.refused = ""

    def check(self, doing: str, *, since: float, patience: float = 0.0) -> None:
        """Raise `RefusedError` if a login was refused after `since`, and `patience` seconds have passed after `since`.

        `since` is in monotonic seconds.
        """
        if self.refused and self._refused_at >= since and time.monotonic() >= since + patience:
            raise RefusedError(
                f"{doing}: the brokers refused the login: {self.refused}; fix sasl_username, sasl_mechanism or the "
                "secret that sasl_password refers to; a changed secret is read again within a minute",
                code=REFUSED,
            )


class LoginConsumer(Consumer):
    """A consumer with the state of its login."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__({**configuration})
        self.login = of(configuration)


class LoginAdmin(AdminClient):
    """An admin client with the state of its login; a context manager that closes the client."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__({**configuration})
        self.login = of(configuration)


def of(configuration: Mapping[str, Any]) -> Login:
    """Return the login of a configuration's clients; without an `error_cb`, a login that is never refused."""
    callback = configuration.get("error_cb")
    return callback if isinstance(callback, Login) else Login()


def check_after_failure(client: Consumer, doing: str, *, since: float) -> None:
    """Raise `RefusedError` if a question failed because the login was refused; for a consumer that reads nothing."""
    if isinstance(client, LoginConsumer):
        client.poll(0)  # librdkafka calls error_cb from here
        client.login.check(doing, since=since)


def flush(producer: Producer, login: Login, doing: str, deadline: Deadline) -> None:
    """Wait until all records of a producer are acknowledged or refused, or until the deadline.

    Raises `RefusedError` if the brokers refuse the login; the records may be in the log or not then.
    """
    began = time.monotonic()
    while producer.flush(min(SLICE_SECONDS, deadline.remaining())) and not deadline.expired:
        login.check(doing, since=began, patience=PATIENCE_SECONDS)
