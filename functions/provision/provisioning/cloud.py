"""What every resource works with: the settings, whose account it is, and the two services that are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fc_powertools import Deadline
    from kafka_maxcompute.control_plane import ControlPlane
    from kafka_maxcompute.service import Service
    from provisioning.request import Request


@dataclass(frozen=True, slots=True)
class Cloud:
    """One invocation's way to the cloud; `account` is the caller's, as STS says."""

    request: Request
    account: str
    control: ControlPlane
    maxcompute: Service
    deadline: Deadline
