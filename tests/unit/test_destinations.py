"""Where keys and secrets may go: hostile settings in an event get neither, and learn nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from fc_powertools import Credentials
from kafka_maxcompute.brokers import clients
from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.settings.destinations import Destinations
from provisioning.request import read

if TYPE_CHECKING:
    from kafka_maxcompute.settings.settings import Settings

pytestmark = pytest.mark.quick

VPC = "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEYS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "STS.role",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "the-roles-secret-key",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "the-roles-token",
}
ENVIRONMENT = KEYS | {
    "CONNECTOR_NAME": "orders",
    "CONNECTOR_SOURCE_TOPIC": "orders-in",
    "CONNECTOR_ENDPOINT": VPC,
    "CONNECTOR_PROJECT": "p",
    "CONNECTOR_TABLE": "t",
    "CONNECTOR_BOOTSTRAP_SERVERS": "10.0.0.1:9092,10.0.0.2:9092",
    "CONNECTOR_SECRET_KAFKA": "hunter2",
    "CONNECTOR_CA_KAFKA": PEM,
}
SECURED = ENVIRONMENT | {
    "CONNECTOR_SECURITY_PROTOCOL": "SASL_SSL",
    "CONNECTOR_SASL_MECHANISM": "SCRAM-SHA-512",
    "CONNECTOR_SASL_USERNAME": "connector",
    "CONNECTOR_SASL_PASSWORD": "kms:orders/kafka",
    "CONNECTOR_SSL_CA": "/code/ca.pem",
}
LOGIN = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "u"}


def settings(given: dict[str, Any], environment: dict[str, str] = ENVIRONMENT) -> Settings:
    return read(json.dumps({"action": "plan", "settings": given}).encode(), environment).settings


def refused(given: dict[str, Any], environment: dict[str, str] = ENVIRONMENT) -> str:
    """All faults of an event with these settings, none of which shows a secret."""
    with pytest.raises(ConfigurationError) as caught:
        clients.configuration(settings(given, environment), environment)
    told = "; ".join(caught.value.faults)
    assert not [value for name, value in environment.items() if ("SECRET" in name or "TOKEN" in name) and value in told]
    return told


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://evil.example/api",
        "http://10.0.0.1/api",
        "http://10.0.0.1:9092/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com.evil.example/api",
        "http://evil.example/service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com./api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com:8080/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com:443/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api/projects/other",
        "http://service.evil.example.maxcompute.aliyun-inc.com/api",
        "http://bucket.oss-cn-hangzhou.aliyuncs.com/api",
        "http://1234.cn-hangzhou.fc.aliyuncs.com/api",
        "http://[::ffff:10.0.0.1]/api",
        "http://169.254.169.254/api",
        "http://xn--service-x2a.maxcompute.aliyun.com/api",
    ],
)
@pytest.mark.parametrize("name", ["endpoint", "tunnel_endpoint"])
def test_requests_with_the_roles_keys_go_to_no_foreign_host(name: str, endpoint: str) -> None:
    told = refused({name: endpoint})
    assert f"{name}: the function's keys and secrets don't go to " in told
    assert f"set CONNECTOR_{name.upper()} of the function to it, or add it to ALLOWED_ADDRESSES there" in told


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com@evil.example/api",
        "http://user:secret@service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api",
        "http://evil.example\\@service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api",
        "http://evil.example\\.service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api/..",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/./api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com//evil.example/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/%2e%2e/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com#.evil.example/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api?a=b",
        "http://\uff53ervice.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api",
        "http://service.cn-hangzhou-vpc。maxcompute.aliyun-inc.com/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api\r\nHost: evil.example",
        "file:///etc/passwd",
        "gopher://evil.example/api",
    ],
)
def test_what_parsers_of_addresses_read_in_different_ways_is_no_address(endpoint: str) -> None:
    told = refused({"endpoint": endpoint})
    assert "endpoint: expected an http or https address" in told
    assert "secret" not in told or "isn't shown" in told


@pytest.mark.parametrize(
    "endpoint",
    [
        VPC,
        "https://service.cn-hangzhou.maxcompute.aliyun.com/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com:80/api",
        "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com",
    ],
)
def test_maxcomputes_own_hosts_need_no_entry(endpoint: str) -> None:
    assert settings({"endpoint": endpoint}).endpoint == endpoint


def test_an_address_that_the_deployment_allows() -> None:
    allowed = ENVIRONMENT | {"ALLOWED_ADDRESSES": "localhost:8080, b-9.example:9092"}
    found = settings({"endpoint": "http://localhost:8080/api", "bootstrap_servers": "B-9.example:9092"}, allowed)
    assert clients.configuration(found, allowed)["bootstrap.servers"] == "B-9.example:9092"
    assert "localhost:8081" in refused({"endpoint": "http://localhost:8081/api"}, allowed)
    assert "b-9.example:9093" in refused({"bootstrap_servers": "b-9.example:9093"}, allowed)
    assert "no such setting" in refused({"allowed_addresses": "evil.example:80"})


def test_a_deployments_list_that_cant_be_read_is_a_fault() -> None:
    assert "ALLOWED_ADDRESSES of the function: expected host:port" in refused(
        {}, ENVIRONMENT | {"ALLOWED_ADDRESSES": "*"}
    )
    wrong = ENVIRONMENT | {"CONNECTOR_SECURITY_PROTOCOL": "SASLSSL"}
    assert "CONNECTOR_SECURITY_PROTOCOL of the function: expected one of" in refused(
        {**LOGIN, "sasl_password": "env:CONNECTOR_SECRET_KAFKA"}, wrong
    )


def test_the_roles_keys_cross_the_internet_with_tls_only_unless_the_deployment_says_otherwise() -> None:
    public = "http://service.cn-hangzhou.maxcompute.aliyun.com/api"
    assert "don't go to service.cn-hangzhou.maxcompute.aliyun.com:80" in refused({"endpoint": public})
    own = ENVIRONMENT | {"CONNECTOR_ENDPOINT": public}
    assert settings({}, own).endpoint == public
    tunnel = "http://dt.cn-hangzhou.maxcompute.aliyun.com"
    assert Destinations.of(own).returned_tunnel(tunnel, public) == tunnel
    with pytest.raises(ConfigurationError, match="isn't a host of MaxCompute"):
        Destinations.of(ENVIRONMENT).returned_tunnel(tunnel, VPC)


def test_an_endpoint_of_the_deployment_with_tls_isnt_taken_away() -> None:
    secured = ENVIRONMENT | {"CONNECTOR_ENDPOINT": "https://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api"}
    assert "don't go to service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com:80" in refused({"endpoint": VPC}, secured)


@pytest.mark.parametrize("servers", ["evil.example:9092", "10.0.0.1:9093", "10.0.0.1:9092,evil.example:9092"])
def test_no_client_is_made_for_foreign_brokers(servers: str) -> None:
    told = refused({**LOGIN, "bootstrap_servers": servers, "sasl_password": "env:CONNECTOR_SECRET_KAFKA"})
    assert "bootstrap_servers: the function's keys and secrets don't go to " in told


def test_brokers_of_the_accounts_own_instance_as_the_control_plane_tells_them() -> None:
    given = {**LOGIN, "bootstrap_servers": "b-1.example:9094", "sasl_password": "env:CONNECTOR_SECRET_KAFKA"}
    found = settings(given)
    told = "b-1.example:9092,b-2.example:9092,b-1.example:9094"
    assert clients.configuration(found, ENVIRONMENT, account_brokers=told)["sasl.password"] == "hunter2"
    with pytest.raises(ConfigurationError, match="bootstrap_servers: the function's keys"):
        clients.configuration(found, ENVIRONMENT, account_brokers="b-1.example:9092")


@pytest.mark.parametrize(
    "reference",
    [
        *(f"env:{name}" for name in KEYS),
        "env:CONNECTOR_PROJECT",
        "env:CONNECTOR_CA_KAFKA",
        "env:PATH",
        "env:CONNECTOR_SECRET_",
        "env:connector_secret_kafka",
        "env:CONNECTOR_SECRET_KAFKA ",
    ],
)
def test_a_password_is_no_other_variable_of_the_function(reference: str) -> None:
    told = refused({**LOGIN, "sasl_password": reference})
    assert "sasl_password: expected env:CONNECTOR_SECRET_... of a variable" in told
    assert "found something else, which isn't shown" in told


@pytest.mark.parametrize("reference", ["kms:payments/kafka", "kms:orders/kafka2", "kms:Orders/kafka", "kms:x/../kafka"])
def test_an_event_names_no_secret_of_kms_that_isnt_for_connectors(reference: str) -> None:
    for environment in (ENVIRONMENT, SECURED):
        told = refused({**LOGIN, "sasl_password": reference}, environment)
        assert "sasl_password: expected the deployment's own reference, or one that begins with" in told
    for allowed in ("kms:orders/kafka", "kms:kafka-maxcompute/payments"):
        assert settings({"sasl_password": allowed}, SECURED).sasl_password == allowed


@pytest.mark.parametrize("reference", ["/etc/passwd", "/proc/self/environ", "/code/other.pem"])
def test_an_event_has_no_file_read(reference: str) -> None:
    told = refused({**LOGIN, "ssl_ca": reference, "sasl_password": "env:CONNECTOR_SECRET_KAFKA"})
    assert "ssl_ca: expected the deployment's own file or variable, or env:CONNECTOR_CA_..., found another" in told
    given = {"ssl_ca": "env:CONNECTOR_CA_KAFKA", "sasl_password": "env:CONNECTOR_SECRET_KAFKA"}
    assert clients.configuration(settings(given, SECURED), SECURED)["ssl.ca.pem"] == PEM


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"security_protocol": "SASL_PLAINTEXT", "ssl_ca": ""}, "security_protocol: an event can't weaken"),
        ({"security_protocol": "PLAINTEXT", "ssl_ca": ""}, "security_protocol"),
        (
            {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "ssl_ca": ""},
            "sasl_mechanism: PLAIN with SASL_PLAINTEXT would send the password in clear text",
        ),
        ({"sasl_mechanism": "PLAIN"}, "sasl_mechanism: an event can't weaken a connection: found PLAIN"),
        ({"ssl_ca": ""}, "ssl_ca: an event can't weaken a connection: found none"),
        ({"ssl_check_hostname": False}, "ssl_check_hostname: an event can't weaken a connection: found false"),
    ],
)
def test_an_event_doesnt_weaken_a_connection(given: dict[str, Any], told: str) -> None:
    assert told in refused(given, SECURED)


def test_a_password_crosses_no_network_in_clear_text_unless_the_deployments_does() -> None:
    clear = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "u"}
    given = {**clear, "sasl_password": "env:CONNECTOR_SECRET_KAFKA"}
    assert "would send the password in clear text" in refused(given)
    own = ENVIRONMENT | {f"CONNECTOR_{name.upper()}": value for name, value in given.items()}
    assert clients.configuration(settings({}, own), own)["sasl.password"] == "hunter2"


def test_no_secret_is_looked_up_for_a_place_that_may_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("kafka_maxcompute.control.kms.secret", lambda name, _: asked.append(name))
    given = settings({"bootstrap_servers": "evil.example:9092"}, SECURED)
    with pytest.raises(ConfigurationError):
        clients.configuration(given, SECURED, Credentials("id", "key"))
    assert asked == []


HOSTS = st.sampled_from(
    ["evil.example", "service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com", "service.cn-hangzhou.maxcompute.aliyun.com"]
)
PIECES = st.one_of(
    HOSTS, st.sampled_from([*"@:/\\?#.%[]-_ \t\n\0", "//", "..", "%2e", "80", "api", "\u3002", "\uff0e"])
)


@given(
    st.builds(
        "{}{}".format, st.sampled_from(["http://", "https://", "//", ""]), st.lists(PIECES, max_size=7).map("".join)
    )
)
def test_what_is_vouched_for_is_maxcomputes_host_to_every_parser(address: str) -> None:
    """Whatever an event gives as endpoint: if it's taken, the client that sends connects to MaxCompute's host."""
    try:
        vouched = Destinations.of(ENVIRONMENT).service(settings({"endpoint": address or "-"}).endpoint)
    except ConfigurationError:
        return
    parsed = parse_url(vouched)
    assert parsed.host in {
        "service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com",
        "service.cn-hangzhou.maxcompute.aliyun.com",
    }
    assert (parsed.auth, parsed.query, parsed.fragment) == (None, None, None)
    assert parsed.port in {None, 443 if parsed.scheme == "https" else 80}
    assert parsed.path in {None, "/api"}


@pytest.mark.parametrize(
    "region", ["cn.evil.example/", "cn-a.evil.example", "oss-cn-hangzhou", "cn-a#", "cn-a@evil", "-cn"]
)
def test_a_region_leads_to_no_host_but_the_control_planes(region: str) -> None:
    assert "region: expected the id of a region" in refused({"region": region})


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, "hunter2\n") for name in ("sasl_mechanism", "sasl_username", "sasl_password", "ssl_ca")),
        ("sasl_mechanism", "hunter2"),
        ("bootstrap_servers", "user:hunter2@broker:9092"),
        ("endpoint", "http://broker/api?signature=hunter2"),
        ("table", "LTAI-hunter2"),
        ("project", "STS.hunter2"),
    ],
)
def test_a_secret_in_the_wrong_setting_is_not_shown(name: str, secret: str) -> None:
    """By its form, or by the setting: a password may be where its user, its mechanism or a certificate should be."""
    told = refused({**LOGIN, "sasl_password": "env:CONNECTOR_SECRET_KAFKA", name: secret})
    assert f"{name}: expected " in told
    assert "hunter2" not in told
