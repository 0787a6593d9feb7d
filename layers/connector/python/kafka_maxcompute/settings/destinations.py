"""Decides where a function's keys and secrets may go, and which secrets a connector may name.

The deployment is trusted, since the operator gives the function its role and its environment. An event isn't trusted,
and its settings may differ from the deployment's. So each address and reference in an event's settings has to be

- the deployment's own (`CONNECTOR_...` and `ALLOWED_ADDRESSES` of the function's environment),
- MaxCompute's own host (`endpoint.locate`), on the default port of its scheme,
- for brokers, an address that the control plane returns for a Kafka instance of the account, or
- for secrets and certificates, a reference with a prefix that is meant for connectors, such as `KMS_PREFIX`,

and an event's settings may not make a connection weaker than the deployment's. Every client of a function gets its
address from this module: in a function, only this module makes a `TrustedAddress`, and `brokers.clients.configuration`
checks the settings with `Destinations` before it reads a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NewType
from urllib.parse import urlsplit

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute.endpoint import locate
from kafka_maxcompute.settings.setting import CERTIFICATE_PREFIX, SECRET_PREFIX, servers
from kafka_maxcompute.settings.settings import PREFIX, SETTINGS, own_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kafka_maxcompute.settings.settings import Settings

TrustedAddress = NewType("TrustedAddress", str)
"""An address to which requests with the role's keys may go."""

ALLOWED_VARIABLE = "ALLOWED_ADDRESSES"
"""The environment variable with further addresses that events may name, as host:port, separated by commas."""
CONTROL_VARIABLE = "CONTROL_ENDPOINT"
"""The environment variable with the address of a control plane other than Alibaba Cloud's, such as an emulator's."""
KMS_PREFIX = "kms:kafka-maxcompute/"
"""The prefix of references to secrets in KMS that are meant for connectors: events may name these secrets."""

_PORTS = {"http": 80, "https": 443}
_PATHS = frozenset({"", "/api"})
_CONNECTION_SETTINGS = (
    *("endpoint", "tunnel_endpoint", "bootstrap_servers", "security_protocol", "sasl_mechanism", "sasl_password"),
    *("ssl_ca", "ssl_check_hostname"),
)
"""The settings that decide which secrets are used, where the secrets go, and how the connection is protected."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """What the deployment allows.

    `own` has the deployment's values of `_CONNECTION_SETTINGS`, `allowed` further addresses as host:port. `control` is
    the control plane's address, "" for Alibaba Cloud's.
    """

    own: Mapping[str, Any] = field(repr=False)
    allowed: frozenset[str] = frozenset()
    control: TrustedAddress = TrustedAddress("")

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Destinations:
        """Read a function's environment; raises `ConfigurationError` for unreadable values."""
        faults: list[str] = []
        given = {name[len(PREFIX) :].lower(): value for name, value in own_variables(environment)}
        own: dict[str, Any] = {}
        for name in _CONNECTION_SETTINGS:
            kind, value = SETTINGS[name].kind, given.get(name) or SETTINGS[name].default
            try:
                own[name] = kind.read(value) if value not in {"", None} else ""
            except (LookupError, TypeError, ValueError):
                faults.append(f"{PREFIX}{name.upper()} of the function: expected {kind.expected}; correct it")
        listed = environment.get(ALLOWED_VARIABLE, "")
        try:
            allowed = frozenset(str(servers().read(listed)).lower().split(",")) if listed else frozenset[str]()
        except ValueError:
            faults.append(f"{ALLOWED_VARIABLE} of the function: expected {servers().expected}; correct it")
        if faults:
            raise ConfigurationError(faults)
        return cls(own, allowed, TrustedAddress(environment.get(CONTROL_VARIABLE, "")))

    def faults(self, settings: Settings) -> Iterator[str]:
        """Yield a fault for each setting that isn't allowed, except `bootstrap_servers` (see `broker_faults`)."""
        for name in ("endpoint", "tunnel_endpoint"):
            address = getattr(settings, name)
            if address and not self._trusts(address):
                yield f"{name}: {_address_fault(_host_and_port(address), name.upper())}"
        yield from self._reference_faults(settings)
        yield from self._connection_faults(settings)

    def broker_faults(self, settings: Settings, account_brokers: str = "") -> Iterator[str]:
        """Yield a fault for each broker's address that is neither the deployment's nor in `account_brokers`.

        `account_brokers` are the addresses that the control plane returns for an instance of the account.
        """
        known = {*_split(self.own["bootstrap_servers"]), *_split(account_brokers), *self.allowed}
        for server in _split(settings.bootstrap_servers):
            if server not in known:
                yield f"bootstrap_servers: {_address_fault(server, 'BOOTSTRAP_SERVERS')}"

    def service(self, address: str) -> TrustedAddress:
        """Return a setting's address of MaxCompute's API or Tunnel; raises `ConfigurationError` if it isn't allowed."""
        if not self._trusts(address):
            raise ConfigurationError([_address_fault(_host_and_port(address), "ENDPOINT")])
        return TrustedAddress(address)

    def returned_tunnel(self, address: str, service_address: str) -> TrustedAddress:
        """Return the Tunnel's address that the service at `service_address` has returned.

        The Tunnel may have another port of the same host, as in a local emulator. Raises `ConfigurationError` if the
        address isn't allowed.
        """
        in_clear = urlsplit(service_address).scheme == "http" and locate(service_address).network == "public"
        is_same_host = urlsplit(address).hostname == urlsplit(service_address).hostname
        if not is_same_host and not self._trusts(address, in_clear=in_clear):
            message = f"{_host_and_port(service_address)} names {_host_and_port(address)} as its Tunnel endpoint"
            remedy = f"if it is right, set {PREFIX}TUNNEL_ENDPOINT of the function to it"
            raise ConfigurationError([f"{message}, which isn't a host of MaxCompute; {remedy}"])
        return TrustedAddress(address)

    def _trusts(self, address: str, *, in_clear: bool = False) -> bool:
        """Return whether the role's keys may be used at an address; `in_clear` allows the Internet without TLS."""
        own = [self.own[name] for name in ("endpoint", "tunnel_endpoint") if self.own[name]]
        if address in own:
            return True
        parts = urlsplit(address)
        if parts.path not in _PATHS or (parts.scheme != "https" and any(known.startswith("https:") for known in own)):
            return False
        if _host_and_port(address) in {*self.allowed, *map(_host_and_port, own)}:
            return True
        network = locate(address).network
        if network == "public" and parts.scheme != "https" and not in_clear:
            return False
        return network != "unknown" and parts.port in {None, _PORTS[parts.scheme]}

    def _reference_faults(self, settings: Settings) -> Iterator[str]:
        """Yield a fault for each reference to a secret or file that an event may not name."""
        password, authority = settings.sasl_password, settings.ssl_ca
        meant = (f"env:{SECRET_PREFIX}", KMS_PREFIX)
        if password and password != self.own["sasl_password"] and not password.startswith(meant):
            expectation = f"expected the deployment's own reference, or one that begins with {' or '.join(meant)}"
            yield f"sasl_password: {expectation}, found another; name it in {PREFIX}SASL_PASSWORD of the function"
        if authority and authority != self.own["ssl_ca"] and not authority.startswith(f"env:{CERTIFICATE_PREFIX}"):
            expectation = (
                f"expected the deployment's own file or variable, or env:{CERTIFICATE_PREFIX}..., found another"
            )
            yield f"ssl_ca: {expectation}; name it in {PREFIX}SSL_CA of the function"

    def _connection_faults(self, settings: Settings) -> Iterator[str]:
        """Yield a fault for each setting that makes a connection weaker than the deployment's."""
        own, protocol = self.own, settings.security_protocol
        if own["security_protocol"].endswith("SSL") and not protocol.endswith("SSL"):
            yield f"security_protocol: {_weaker_fault(protocol, own['security_protocol'], 'SECURITY_PROTOCOL')}"
        clear = ("SASL_PLAINTEXT", "PLAIN")
        if (protocol, settings.sasl_mechanism) == clear != (own["security_protocol"], own["sasl_mechanism"]):
            remedy = f"use SASL_SSL or a SCRAM mechanism, or set both in {PREFIX}... of the function"
            yield f"sasl_mechanism: PLAIN with SASL_PLAINTEXT would send the password in clear text; {remedy}"
        if settings.sasl_mechanism == "PLAIN" and own["sasl_mechanism"].startswith("SCRAM"):
            yield f"sasl_mechanism: {_weaker_fault('PLAIN', own['sasl_mechanism'], 'SASL_MECHANISM')}"
        if protocol.endswith("SSL") and own["ssl_ca"] and not settings.ssl_ca:
            yield f"ssl_ca: {_weaker_fault('none', 'a certificate authority of its own', 'SSL_CA')}"
        if not settings.ssl_check_hostname and own["ssl_check_hostname"]:
            yield f"ssl_check_hostname: {_weaker_fault('false', 'true', 'SSL_CHECK_HOSTNAME')}"


def _split(addresses: str) -> Iterable[str]:
    return (address.strip().lower() for address in addresses.split(",") if address.strip())


def _host_and_port(address: str) -> str:
    """Return an address's host:port; an address without a port has the default port of its scheme."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or _PORTS[parts.scheme]}"


def _address_fault(host_and_port: str, variable: str) -> str:
    message = f"the function's keys and secrets don't go to {host_and_port}, which an event names"
    return f"{message}; set {PREFIX}{variable} of the function to it, or add it to {ALLOWED_VARIABLE} there"


def _weaker_fault(value: str, own: str, variable: str) -> str:
    message = f"an event can't weaken a connection: found {value}, but the deployment has {own}"
    return f"{message}; leave it out, or set {PREFIX}{variable} of the function"
