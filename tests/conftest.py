"""Fixtures that tests of several folders share."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

from hypothesis import settings

pytest_plugins = ["tests.attack_report", "tests.kafka_fixtures", "tests.kafka_security", "tests.project_copy"]

# How long an example takes says more of the machine's other work than of ours.
settings.register_profile("full", deadline=None)
settings.register_profile("small", deadline=None, max_examples=15)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full"))

# Whatever starts these tests in the background may have them ignore SIGINT, and the programs that they start would
# inherit that. A handler that does nothing goes on ignoring it here, but isn't inherited.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda *_: None)

# A cloud that the developer runs with the installed command has its addresses in the user's state folder. No test may
# find that cloud.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="kafka-maxcompute-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)
