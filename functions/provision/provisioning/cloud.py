"""What every resource works with: the settings, whose account it is, and the services that are asked."""

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
    """One invocation's way to the cloud; `account` is the caller's, as STS says.

    `environment` has what references among the settings lead to. To be closed at the invocation's end.
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
        """The brokers, found when they are first asked for.

        Raises `RefusedError` if nobody says where they are, or a secret is missing; the next use looks again then.
        """
        settings = self.request.settings
        found = configuration(settings, self.control, self.environment)
        return self._made.enter_context(closing(BrokerClients(found, settings.group)))

    def close(self) -> None:
        """Leave the brokers, if they were asked for anything."""
        self._made.close()
