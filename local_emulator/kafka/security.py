"""Logins, encryption and rights of a real Apache Kafka: users for PLAIN and SCRAM, TLS, and ACLs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROTOCOLS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_MODULES = "org.apache.kafka.common.security"

PROPERTIES = """\
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={key_store}
"""


@dataclass(frozen=True, slots=True)
class Security:
    """The users of a broker, and the broker's key and certificate.

    `users` has passwords by name. Users have no rights until the caller adds ACLs; a client without a login (PLAINTEXT,
    SSL) has all rights. `pem` is the broker's private key and its certificate.
    """

    users: Mapping[str, str] = field(repr=False)
    pem: str = field(repr=False)


def properties(security: Security, folder: Path) -> str:
    """Write the key store; return the lines of server.properties, which name it."""
    key_store = folder / "broker.pem"
    key_store.touch(0o600)
    key_store.write_text(security.pem, encoding="ascii")
    users = " ".join(f'user_{name}="{password}"' for name, password in security.users.items())
    modules = {
        "plain": f"{_MODULES}.plain.PlainLoginModule required {users}",
        **{mechanism.lower(): f"{_MODULES}.scram.ScramLoginModule required" for mechanism in SCRAM},
    }
    lines = "".join(
        f"listener.name.{protocol.lower()}.{mechanism}.sasl.jaas.config={module};\n"
        for protocol in PROTOCOLS
        if protocol.startswith("SASL_")
        for mechanism, module in modules.items()
    )
    return PROPERTIES.format(key_store=key_store) + lines


def scram_users(security: Security) -> list[str]:
    """Return arguments of the storage tool, which creates SCRAM users while it formats."""
    return [
        word
        for name, password in security.users.items()
        for mechanism in SCRAM
        for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
    ]
