"""The invocation's context, in the same form for every Python runtime.

The runtimes differ (Function Compute's documents on the context, 2025): python3.10 and older have `credentials`,
`service` (with the log project, the log store, the qualifier and the version) and `tracing`; python3.12 has none of
these, but `version_id` and `qualifier` on `function`, and `log_project` and `log_store` on the context itself.
Here each fact has one attribute, which is None if the runtime doesn't give it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fc_powertools.credentials import Credentials, in_context


@dataclass(frozen=True, slots=True)
class Function:
    """The function that is invoked; `memory` in MB, `timeout` in seconds."""

    name: str | None = None
    handler: str | None = None
    memory: int | None = None
    timeout: int | None = None
    version_id: str | None = None
    qualifier: str | None = None


@dataclass(frozen=True, slots=True)
class Tracing:
    """The tracing headers of python3.10 and older, if tracing is on."""

    span_context: str | None = None
    jaeger_endpoint: str | None = None
    span_baggages: object = None


@dataclass(frozen=True, slots=True)
class Context:
    """One invocation's context; `credentials` are the request's, if the runtime gives them."""

    request_id: str | None = None
    function: Function = field(default_factory=Function)
    service_name: str | None = None
    region: str | None = None
    account_id: str | None = None
    log_project: str | None = None
    log_store: str | None = None
    credentials: Credentials | None = None
    tracing: Tracing | None = None

    @classmethod
    def of(cls, runtime: object) -> Context:
        """Read a runtime's own context object; any attribute may be missing."""
        if isinstance(runtime, Context):
            return runtime
        function, service = getattr(runtime, "function", None), getattr(runtime, "service", None)
        tracing = getattr(runtime, "tracing", None)
        return cls(
            request_id=_text(runtime, "request_id"),
            function=Function(
                name=_text(function, "name"),
                handler=_text(function, "handler"),
                memory=_number(function, "memory"),
                timeout=_number(function, "timeout"),
                version_id=_text(function, "version_id") or _text(service, "version_id"),
                qualifier=_text(function, "qualifier") or _text(service, "qualifier"),
            ),
            service_name=_text(service, "name"),
            region=_text(runtime, "region"),
            account_id=_text(runtime, "account_id"),
            log_project=_text(runtime, "log_project") or _text(service, "log_project"),
            log_store=_text(runtime, "log_store") or _text(service, "log_store"),
            credentials=in_context(runtime),
            tracing=None
            if tracing is None
            else Tracing(
                span_context=_text(tracing, "span_context"),
                jaeger_endpoint=_text(tracing, "jaeger_endpoint"),
                span_baggages=getattr(tracing, "span_baggages", None),
            ),
        )


def _text(holder: object, attribute: str) -> str | None:
    """Return an attribute as text; None if it's missing or empty."""
    value = getattr(holder, attribute, None)
    return str(value) if value not in (None, "") else None


def _number(holder: object, attribute: str) -> int | None:
    """Return an attribute as a whole number, also from its digits; None for anything else."""
    try:
        return int(getattr(holder, attribute, None))  # type: ignore[arg-type] # None and other types raise TypeError
    except (TypeError, ValueError):
        return None
