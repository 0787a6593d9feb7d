"""What all tests of faults need."""

from __future__ import annotations

import pytest

# So that an assertion there says what it has found.
pytest.register_assert_rewrite("tests.faults.delivering_connector")
