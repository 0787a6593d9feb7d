"""A toolkit for Alibaba Cloud Function Compute functions in Python.

    context       the invocation's context, in the same form for every Python runtime
    credentials   the role's temporary keys, read for each invocation
    deadline      the remaining time of the invocation
    logger        JSON log lines from the standard logging module, with the invocation's fields
    metrics       counters, gauges and timings of one invocation, written as one log line
    decorators    `invocation` and `hook`: all of the above around a handler, an initializer or a pre-stop hook
    events        the events that EventBridge delivers to a function (needs msgspec, so it's imported by name)

The toolkit is independent of any particular function. Every module except `events` needs the standard library only.
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
