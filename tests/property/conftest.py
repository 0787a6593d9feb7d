"""Fixtures of the random attack."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def silent() -> Iterator[None]:
    """Nothing is logged, because everything goes wrong on purpose.

    `logging.disable` clears what each logger has cached of its levels; a patched `disable` would leave loggers silent.
    """
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
