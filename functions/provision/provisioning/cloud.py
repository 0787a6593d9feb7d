"""What every resource works with: the settings, whose account it is, and the services that are asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.control.control_plane import ControlPlane
    from kafka_maxcompute.maxcompute.service import Service
    from provisioning.request import Request


@dataclass(frozen=True, slots=True)
class Cloud:
    """One invocation's way to the cloud; `account` is the caller's, as STS says.

    `environment` has what references among the settings lead to.
    """

    request: Request
    account: str
    control: ControlPlane
    maxcompute: Service
    deadline: Deadline
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    broker_configuration: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What `brokers.configuration` has found out, for the rest of the invocation; it holds the brokers' password."""
