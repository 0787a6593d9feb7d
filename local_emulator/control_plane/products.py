"""The emulated products."""

from __future__ import annotations

from local_emulator.control_plane import kms, resource_manager, sts, vpc
from local_emulator.control_plane.alikafka import product as alikafka
from local_emulator.control_plane.eventbridge import product as event_bridge
from local_emulator.control_plane.function_compute import product as function_compute
from local_emulator.control_plane.ram import product as ram

PRODUCTS = (
    ram.PRODUCT,
    sts.PRODUCT,
    resource_manager.PRODUCT,
    alikafka.PRODUCT,
    event_bridge.PRODUCT,
    function_compute.PRODUCT,
    vpc.PRODUCT,
    kms.PRODUCT,
)
