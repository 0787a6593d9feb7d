"""What Serverless Devs' component fc3 sends as a function's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_emulator.function_compute.template import Function

_OF_THE_COMPONENT = (
    "region",
    "code",
    "triggers",
    "asyncInvokeConfig",
    "vpcBinding",
    "customDomain",
    "provisionConfig",
    "scalingConfig",
    "concurrencyConfig",
    "endpoint",
    "annotations",
    "supplement",
)
"""Properties that fc3 doesn't send as the function's configuration."""


def sent(function: Function) -> dict[str, Any]:
    """Return the parameters that fc3 sends for a template's function, without the code.

    fc3 lets the log service create project and store for `logConfig: auto`; without a log service these are names only.
    """
    config = {key: value for key, value in function.props.items() if key not in _OF_THE_COMPONENT}
    config |= {"functionName": function.name, "role": function.role.lower()}
    if config.get("logConfig") == "auto":
        config["logConfig"] = {"project": f"serverless-{function.region}", "logstore": "default-logs"}
    return config
