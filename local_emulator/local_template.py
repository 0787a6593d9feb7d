"""The project's template, resolved for the local account.

Commands that only read the template import this module, and not `cloud`, which imports every service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_emulator import project
from local_emulator.function_compute import template as function_template

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from local_emulator.function_compute.template import Template

SINK, PROVISIONER = "sink", "provisioner"
"""The template's resources."""
ACCOUNT_ID = "1880000000000000"
"""An account number in the cloud's form, sixteen digits, that belongs to no real account."""
INSTANCE_ID = "alikafka_local"
LOGIN = tuple(
    f"CONNECTOR_{name}"
    for name in (
        "SECURITY_PROTOCOL",
        "SASL_MECHANISM",
        "SASL_USERNAME",
        "SASL_PASSWORD",
        "SSL_CA",
        "SSL_CHECK_HOSTNAME",
    )
)
"""The variables of a connection to brokers with a login; .env may have them for production."""
ADDRESSES = ("CONNECTOR_ENDPOINT", "CONNECTOR_TUNNEL_ENDPOINT", "CONNECTOR_BOOTSTRAP_SERVERS", "CONTROL_ENDPOINT")
"""The variables of the services' addresses."""


def template(environment: Mapping[str, str]) -> Template:
    """Return the project's template, resolved for the local account; raises TemplateError."""
    path = project.template()
    return resolved(path, function_template.read(path), environment)


def resolved(path: Path, document: Mapping[str, Any], environment: Mapping[str, str]) -> Template:
    """Return a template's document, resolved for the local account; raises TemplateError."""
    variables = {**environment, "CONNECTOR_INSTANCE_ID": INSTANCE_ID}
    return function_template.resolve(document, path, variables, account_id=ACCOUNT_ID)


def variables(environment: Mapping[str, str], cloud: Mapping[str, str]) -> dict[str, str]:
    """Return the template's variables: the cloud's addresses and lack of a login, the environment's, `bootstrap`'s."""
    own = {name: value for name, value in environment.items() if value}
    return {**cloud, **own, **{name: cloud[name] for name in (*ADDRESSES, *LOGIN)}}
