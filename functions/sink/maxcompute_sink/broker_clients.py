"""The clients of the brokers that an instance keeps; recreated after the brokers' password has changed.

A warm instance has connections that logged in with an earlier password. If a new login is refused, the secret is read
again; if its value has changed, all clients are recreated with the new value. The secret is read at most once in
`PAUSE_SECONDS`, so that a wrong password burdens neither KMS nor the brokers. Closed clients send nothing any more.
Their last messages may be in the log or not, and the new clients read the ledger's log again, as after a kill.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from kafka_maxcompute.brokers import clients
from kafka_maxcompute.errors import ConnectorError
from maxcompute_sink.connections import connect
from maxcompute_sink.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fc_powertools import Deadline, Invocation
    from kafka_maxcompute.settings.settings import Settings
    from maxcompute_sink.connections import Connections

PAUSE_SECONDS = 30.0
"""The shortest time between two readings of the secret, however many logins are refused."""

_log = logging.getLogger(__name__)


class BrokerClients:
    """The clients of one instance; `connections` and `upkeep` are None before the first use, and without brokers."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.connections: Connections | None = None
        self.upkeep: Upkeep | None = None
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._read_secret = -PAUSE_SECONDS

    def connect(self, invocation: Invocation, deadline: Deadline | None = None) -> Connections | None:
        """Return the clients, created by the first call; recreated if a login was refused and the secret has changed.

        Raises `ConfigurationError`, and the errors of a request to KMS if there are no clients yet.
        """
        if not self._settings.bootstrap_servers:
            return None
        if self.connections is not None:
            self.renew(invocation, deadline)
        with self._lock:
            if self.connections is None:
                self._create(self._configuration(invocation, deadline))
            return self.connections

    def renew(self, invocation: Invocation, deadline: Deadline | None = None) -> bool:
        """Recreate the clients if a login was refused and the secret has changed; return whether that was so."""
        with self._lock:
            connections = self.connections
            if (
                connections is None
                or not connections.login.refused
                or self._clock() - self._read_secret < PAUSE_SECONDS
            ):
                return False
            connections.login.forget()
            self._read_secret = self._clock()
            try:
                configuration = self._configuration(invocation, deadline)
            except ConnectorError as error:
                _log.warning("the brokers refuse the login, and the secret can't be read again: %s", error)
                return False
            if not connections.differs_from(configuration):
                _log.warning("the brokers refuse the login, and the secret hasn't changed")
                return False
            _log.warning("the brokers refuse the login, and the secret has changed: all clients are recreated")
            connections.close()
            self._create(configuration)
            return True

    def close(self) -> None:
        """Disconnect from the brokers; answered batches are already in the topics, so nothing is lost."""
        with self._lock:
            if self.connections is not None:
                self.connections.close()
            self.connections = self.upkeep = None

    def _create(self, configuration: dict[str, Any]) -> None:
        self.connections = connect(self._settings, configuration)
        self.upkeep = Upkeep(self._settings.name, self.connections)

    def _configuration(self, invocation: Invocation, deadline: Deadline | None) -> dict[str, Any]:
        credentials = invocation.credentials if self._settings.sasl_password.startswith("kms:") else None
        return clients.configuration(self._settings, invocation.environment, credentials, deadline)
