"""The products that are emulated."""

from __future__ import annotations

from local_emulator.control_plane import resource_manager, sts
from local_emulator.control_plane.alikafka import product as alikafka
from local_emulator.control_plane.ram import product as ram

PRODUCTS = (ram.PRODUCT, sts.PRODUCT, resource_manager.PRODUCT, alikafka.PRODUCT)
