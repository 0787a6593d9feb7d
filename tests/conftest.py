"""Fixtures that tests of several folders share."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.kafka_fixtures", "tests.kafka_security", "tests.project_copy"]

# How long an example takes says more of the machine's other work than of ours.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
