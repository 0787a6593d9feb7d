"""What every resource works with: the request, the account, and the clients of the services."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from provisioning.broker_clients import BrokerClients
from provisioning.broker_configuration import configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.control.control_plane import ControlPlane
    from kafka_maxcompute.maxcompute.service import Service
    from provisioning.request import Request


@dataclass(frozen=True)
class Cloud:
    """One invocation's access to the cloud; `account` is the caller's account, as STS reports it.

    `environment` has the values that settings refer to, such as a password. It has to be closed after the invocation.
    """

    request: Request
    account: str
    control: ControlPlane
    maxcompute: Service
    deadline: Deadline
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    _made: ExitStack = field(default_factory=ExitStack, init=False, repr=False, compare=False)

    @cached_property
    def clients(self) -> BrokerClients:
        """Return the clients of the brokers; the first use finds the brokers' addresses.

        Raises `RefusedError` if no setting or service has the addresses, or a secret is missing; the next use tries
        again then.
        """
        settings = self.request.settings
        properties = configuration(settings, self.control, self.environment)
        return self._made.enter_context(closing(BrokerClients(properties, settings.group)))

    def close(self) -> None:
        """Close the clients of the brokers, if there are any."""
        self._made.close()
