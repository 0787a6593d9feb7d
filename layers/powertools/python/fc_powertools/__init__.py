"""A toolkit for Alibaba Cloud Function Compute functions in Python.

    context       what the runtime tells about the invocation, the same for every Python runtime
    credentials   the role's temporary keys, looked up for each invocation
    deadline      the time that the invocation still has
    logger        JSON log lines out of the standard logging module, with the invocation's fields
    metrics       counters, gauges and timings of one invocation, written as one log line
    decorators    `invocation` and `hook`: all of the above around a handler, an initializer or a pre-stop hook
    events        the events that EventBridge delivers to a function (needs msgspec, so it's imported by name)

It knows nothing of any particular function. Everything but `events` needs the standard library only.
"""

from fc_powertools.context import Context
from fc_powertools.credentials import Credentials, CredentialsError
from fc_powertools.deadline import Deadline
from fc_powertools.decorators import Invocation, hook, invocation
from fc_powertools.metrics import Metrics

__all__ = [
    "Context",
    "Credentials",
    "CredentialsError",
    "Deadline",
    "Invocation",
    "Metrics",
    "hook",
    "invocation",
]
