"""Fixtures that tests of several folders share."""

from __future__ import annotations

pytest_plugins = ["tests.kafka_fixtures", "tests.kafka_security", "tests.project_copy"]
