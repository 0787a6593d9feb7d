"""Where a function's keys and secrets may go, and which secrets a connector may name: the one place that decides.

The deployment is trusted: whoever deploys gives the function its role and its environment. An event isn't: its
settings may differ from the deployment's, so each address, reference and property of a connection among them has to be

- the deployment's own (`CONNECTOR_...` and `ALLOWED_ADDRESSES` of the function's environment),
- MaxCompute's own host (`endpoint.locate`), on its scheme's own port, or
- for brokers, an address that the control plane tells for a Kafka instance of the account,

and no connection may be weaker than the deployment's. Every client gets its address from here: `Vouched` is made
nowhere else, and `brokers.configuration` asks `Destinations` before it looks a secret up.
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

Vouched = NewType("Vouched", str)
"""An address to which requests with the role's keys may go."""

ALLOWED_VARIABLE = "ALLOWED_ADDRESSES"
"""A variable of the deployment: host:port, more than one separated by commas, that events may name besides."""
CONTROL_VARIABLE = "CONTROL_ENDPOINT"
"""A variable of the deployment: the address of a control plane other than Alibaba Cloud's, such as an emulator's."""
KMS_PREFIX = "kms:kafka-maxcompute/"
"""How references begin to secrets in KMS that are meant for connectors, so that events may name them."""

_PORTS = {"http": 80, "https": 443}
_PATHS = frozenset({"", "/api"})
_ASKED = (
    *("endpoint", "tunnel_endpoint", "bootstrap_servers", "security_protocol", "sasl_mechanism", "sasl_password"),
    *("ssl_ca", "ssl_check_hostname"),
)
"""The settings that say where secrets go, which ones, and how."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """What the deployment names; `own` has its values of the settings concerned, `allowed` further host:port."""

    own: Mapping[str, Any] = field(repr=False)
    allowed: frozenset[str] = frozenset()
    control: Vouched = Vouched("")

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Destinations:
        """Those of a function's environment; raises `ConfigurationError` for values that can't be read."""
        faults: list[str] = []
        given = {name[len(PREFIX) :].lower(): value for name, value in own_variables(environment)}
        own: dict[str, Any] = {}
        for name in _ASKED:
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
        return cls(own, allowed, Vouched(environment.get(CONTROL_VARIABLE, "")))

    def faults(self, settings: Settings) -> Iterator[str]:
        """Everything in settings that isn't the deployment's to vouch for, but for brokers: see `broker_faults`."""
        for name in ("endpoint", "tunnel_endpoint"):
            address = getattr(settings, name)
            if address and not self._vouches(address):
                yield f"{name}: {_foreign(_where(address), name.upper())}"
        yield from self._reference_faults(settings)
        yield from self._connection_faults(settings)

    def broker_faults(self, settings: Settings, told: str = "") -> Iterator[str]:
        """Brokers that neither the deployment names nor the control plane tells of the account's instance: `told`."""
        known = {*_listed(self.own["bootstrap_servers"]), *_listed(told), *self.allowed}
        for server in _listed(settings.bootstrap_servers):
            if server not in known:
                yield f"bootstrap_servers: {_foreign(server, 'BOOTSTRAP_SERVERS')}"

    def service(self, address: str) -> Vouched:
        """The address of MaxCompute's API or Tunnel, out of settings; raises `ConfigurationError` for a foreign one."""
        if not self._vouches(address):
            raise ConfigurationError([_foreign(_where(address), "ENDPOINT")])
        return Vouched(address)

    def told_tunnel(self, address: str, by: str) -> Vouched:
        """The Tunnel's address as the service at the address `by` tells it; raises `ConfigurationError`.

        It may be on another port of the same host, as a local emulator's is.
        """
        in_clear = urlsplit(by).scheme == "http" and locate(by).network == "public"
        if urlsplit(address).hostname != urlsplit(by).hostname and not self._vouches(address, in_clear=in_clear):
            told = f"{_where(by)} names {_where(address)} as its Tunnel endpoint"
            remedy = f"if it is right, set {PREFIX}TUNNEL_ENDPOINT of the function to it"
            raise ConfigurationError([f"{told}, which isn't a host of MaxCompute; {remedy}"])
        return Vouched(address)

    def _vouches(self, address: str, *, in_clear: bool = False) -> bool:
        """Whether requests with the role's keys may go there; `in_clear` lets them cross the Internet without TLS."""
        own = [self.own[name] for name in ("endpoint", "tunnel_endpoint") if self.own[name]]
        if address in own:
            return True
        parts = urlsplit(address)
        if parts.path not in _PATHS or (parts.scheme != "https" and any(one.startswith("https:") for one in own)):
            return False
        if _where(address) in {*self.allowed, *map(_where, own)}:
            return True
        network = locate(address).network
        if network == "public" and parts.scheme != "https" and not in_clear:
            return False
        return network != "unknown" and parts.port in {None, _PORTS[parts.scheme]}

    def _reference_faults(self, settings: Settings) -> Iterator[str]:
        """References to what nobody has meant for a connector."""
        password, authority = settings.sasl_password, settings.ssl_ca
        meant = (f"env:{SECRET_PREFIX}", KMS_PREFIX)
        if password and password != self.own["sasl_password"] and not password.startswith(meant):
            named = f"expected the deployment's own reference, or one that begins with {' or '.join(meant)}"
            yield f"sasl_password: {named}, found another; name it in {PREFIX}SASL_PASSWORD of the function"
        if authority and authority != self.own["ssl_ca"] and not authority.startswith(f"env:{CERTIFICATE_PREFIX}"):
            named = f"expected the deployment's own file or variable, or env:{CERTIFICATE_PREFIX}..., found another"
            yield f"ssl_ca: {named}; name it in {PREFIX}SSL_CA of the function"

    def _connection_faults(self, settings: Settings) -> Iterator[str]:
        """Properties that make a connection weaker than the deployment's."""
        own, protocol = self.own, settings.security_protocol
        if own["security_protocol"].endswith("SSL") and not protocol.endswith("SSL"):
            yield f"security_protocol: {_weaker(protocol, own['security_protocol'], 'SECURITY_PROTOCOL')}"
        clear = ("SASL_PLAINTEXT", "PLAIN")
        if (protocol, settings.sasl_mechanism) == clear != (own["security_protocol"], own["sasl_mechanism"]):
            remedy = f"take SASL_SSL or a SCRAM mechanism, or set both in {PREFIX}... of the function"
            yield f"sasl_mechanism: PLAIN with SASL_PLAINTEXT would send the password in clear text; {remedy}"
        if settings.sasl_mechanism == "PLAIN" and own["sasl_mechanism"].startswith("SCRAM"):
            yield f"sasl_mechanism: {_weaker('PLAIN', own['sasl_mechanism'], 'SASL_MECHANISM')}"
        if protocol.endswith("SSL") and own["ssl_ca"] and not settings.ssl_ca:
            yield f"ssl_ca: {_weaker('none', 'a certificate authority of its own', 'SSL_CA')}"
        if not settings.ssl_check_hostname and own["ssl_check_hostname"]:
            yield f"ssl_check_hostname: {_weaker('false', 'true', 'SSL_CHECK_HOSTNAME')}"


def _listed(addresses: str) -> Iterable[str]:
    return (one.strip().lower() for one in addresses.split(",") if one.strip())


def _where(address: str) -> str:
    """An address's host:port, the scheme's own port where it says none."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or _PORTS[parts.scheme]}"


def _foreign(where: str, variable: str) -> str:
    found = f"the function's keys and secrets don't go to {where}, which an event names"
    return f"{found}; set {PREFIX}{variable} of the function to it, or add it to {ALLOWED_VARIABLE} there"


def _weaker(found: str, own: str, variable: str) -> str:
    said = f"an event can't weaken a connection: found {found}, but the deployment has {own}"
    return f"{said}; leave it out, or set {PREFIX}{variable} of the function"
