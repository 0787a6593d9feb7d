"""Settings: what is read, what a default is, and that every fault is reported at once and says what to do."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.settings.settings import SETTINGS, Settings

pytestmark = pytest.mark.quick

NEEDED = {
    "name": "kafka-maxcompute-sink",
    "source_topic": "maxcompute-test-input",
    "endpoint": "http://service.cn-hangzhou.maxcompute.aliyun-inc.com/api",
    "project": "connector_test",
    "table": "test_kafka",
}
GIVEN = {**NEEDED, "bootstrap_servers": "10.0.0.1:9092"}
"""Exactly-once, the default, needs the brokers too."""


def settings(**changed: object) -> Settings:
    return Settings.from_mapping({**GIVEN, **changed})


def faults(given: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_mapping(given)
    return raised.value.faults


def fault(**changed: object) -> str:
    (only,) = faults({**GIVEN, **changed})
    return only


def test_the_documents_example_has_the_documents_defaults() -> None:
    assert asdict(settings()) == {
        **GIVEN,
        "instance_id": "",
        "region": "cn-hangzhou",
        "concurrency": 6,
        "consumer_offset": "earliest",
        "vpc_id": "",
        "vswitch_id": "",
        "failure_policy": "continue",
        "resource_creation": "auto",
        "group": "connect-kafka-maxcompute-sink",
        "offset_topic": "connect-offset-kafka-maxcompute-sink",
        "config_topic": "connect-config-kafka-maxcompute-sink",
        "status_topic": "connect-status-kafka-maxcompute-sink",
        "dead_letter_topic": "connect-error-kafka-maxcompute-sink",
        "error_topic": "connect-error-kafka-maxcompute-sink",
        "tunnel_endpoint": "",
        "allow_public_endpoint": False,
        "table_region": "cn-hangzhou",
        "account_id": "",
        "role": "AliyunKafkaMaxComputeUser1",
        "grant_select": True,
        "mode": "DEFAULT",
        "format": "TEXT",
        "partition": "HOUR",
        "partition_names": "document",
        "partition_column": "pt",
        "time_zone": "GMT 08:00",
        "value_time_zone": "",
        "earliest_timestamp": 946_684_800_000,
        "latest_timestamp": 86_400,
        "value_type": "Text",
        "compression": "deflate",
        "delivery": "exactly-once",
        "control": "alikafka",
        "security_protocol": "PLAINTEXT",
        "sasl_mechanism": "",
        "sasl_username": "",
        "sasl_password": "",
        "ssl_ca": "",
        "ssl_check_hostname": True,
    }


@pytest.mark.parametrize(
    ("field", "given", "read"),
    [
        ("concurrency", "12", 12),
        ("concurrency", 1, 1),
        ("consumer_offset", "LATEST", "latest"),
        ("failure_policy", "Stop", "stop"),
        ("resource_creation", "manual", "manual"),
        ("mode", "value", "VALUE"),
        ("format", "binary", "BINARY"),
        ("partition", "Minute", "MINUTE"),
        ("partition_names", "ISO", "iso"),
        ("value_type", "json", "Json"),
        ("compression", "LZ4", "lz4"),
        ("delivery", "At-Least-Once", "at-least-once"),
        ("time_zone", "Asia/Shanghai", "Asia/Shanghai"),
        ("value_time_zone", "Europe/Berlin", "Europe/Berlin"),
        ("allow_public_endpoint", True, True),
        ("allow_public_endpoint", "yes", True),
        ("allow_public_endpoint", "FALSE", False),
        ("allow_public_endpoint", "0", False),
        ("account_id", 1880000000000000, "1880000000000000"),
        ("vpc_id", "vpc-bp1xpdnd3l", "vpc-bp1xpdnd3l"),
        ("vswitch_id", "vsw-bp1d2jgg81", "vsw-bp1d2jgg81"),
        ("instance_id", "alikafka_post-cn-st21p8vj0001", "alikafka_post-cn-st21p8vj0001"),
        ("endpoint", "http://127.0.0.1:8080/api/", "http://127.0.0.1:8080/api"),
        ("tunnel_endpoint", "https://dt.cn-hangzhou-vpc.maxcompute.aliyun-inc.com", None),
        ("earliest_timestamp", "2020-11-17", 1_605_571_200_000),
        ("earliest_timestamp", "2020-11-17T08:00:00+08:00", 1_605_571_200_000),
        ("earliest_timestamp", "2020-11-17T00:00:00Z", 1_605_571_200_000),
        ("earliest_timestamp", "1605571200000", 1_605_571_200_000),
        ("earliest_timestamp", 1_605_571_200_000, 1_605_571_200_000),
        ("earliest_timestamp", "0946684800000", 946_684_800_000),
        ("earliest_timestamp", "1973-01-01", 94_694_400_000),
        ("earliest_timestamp", 9_999_999_999_999, 9_999_999_999_999),
        ("latest_timestamp", "0", 0),
        ("group", "connect-other", "connect-other"),
        ("offset_topic", "offsets", "offsets"),
    ],
)
def test_a_given_value_is_read(field: str, given: object, read: object) -> None:
    assert getattr(settings(**{field: given}), field) == (given if read is None else read)


@pytest.mark.parametrize("unset", [None, ""])
@pytest.mark.parametrize("field", [field for field, setting in SETTINGS.items() if not setting.required])
def test_null_and_empty_mean_the_default(field: str, unset: object) -> None:
    if field == "bootstrap_servers":
        assert settings(**{field: unset}, delivery="at-least-once").bootstrap_servers == ""
    else:
        assert settings(**{field: unset}) == settings()


def test_exactly_once_needs_the_brokers() -> None:
    (only,) = faults(NEEDED)
    assert only.startswith("bootstrap_servers: delivery exactly-once needs it; set it to host:port of the brokers")


@pytest.mark.parametrize("unset", [None, ""])
@pytest.mark.parametrize("field", NEEDED)
def test_what_must_be_given(field: str, unset: object) -> None:
    variable = f"CONNECTOR_{field.upper()}"
    assert fault(**{field: unset}).startswith(f"{field} isn't set; set it, or the variable {variable}, to the ")
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({variable: ""})
    assert any(one.startswith(f"{variable} isn't set; set it to the ") for one in caught.value.faults)


def test_what_must_be_given_is_just_that() -> None:
    assert [field for field, setting in SETTINGS.items() if setting.required] == list(NEEDED)


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("concurrency", 5, "expected one of 1, 2, 3, 6, 12, found 5; fix it, or leave it out for 6"),
        ("concurrency", "six", "expected one of 1, 2, 3, 6, 12, found 'six'"),
        ("concurrency", True, "found True"),
        ("concurrency", 6.0, "found 6.0"),
        ("consumer_offset", "first", "expected one of earliest, latest, found 'first'"),
        ("failure_policy", "retry", "expected one of continue, stop"),
        ("resource_creation", "yes", "expected one of auto, manual"),
        ("mode", "BOTH", "expected one of DEFAULT, KEY, VALUE, found 'BOTH'; fix it, or leave it out for DEFAULT"),
        ("format", ["TEXT"], "expected one of TEXT, BINARY, CSV, found ['TEXT']"),
        ("partition", "WEEK", "expected one of HOUR, DAY, MINUTE"),
        ("partition_names", "us", "expected one of document, iso"),
        ("value_type", "Avro", "expected one of Text, Json, Binary"),
        ("compression", "gzip", "expected one of deflate, lz4, zstd, none"),
        ("delivery", "exactly once", "expected one of exactly-once, at-least-once, found"),
        ("allow_public_endpoint", "maybe", "expected true or false, found 'maybe'"),
        ("time_zone", "Mars/Olympus", "or an IANA name such as Asia/Shanghai, found 'Mars/Olympus'"),
        ("time_zone", "GMT+08:10", "found 'GMT+08:10'"),
        ("value_time_zone", "Mars/Olympus", "or an IANA name such as Asia/Shanghai, found 'Mars/Olympus'"),
        ("earliest_timestamp", "yesterday", "expected an ISO date or time such as 2000-01-01T00:00:00Z"),
        ("earliest_timestamp", "2026-W45-1", "expected an ISO date or time"),
        ("earliest_timestamp", "20261102T10", "expected an ISO date or time"),
        ("earliest_timestamp", "2026-11-02T10:00:00,5", "expected an ISO date or time"),
        ("earliest_timestamp", "1970-01-01", "not before 1973-01-01T00:00:00Z"),
        ("earliest_timestamp", False, "found False"),
        ("earliest_timestamp", "20261129", "or milliseconds since 1970, from 946684800000 (the year 2000) to 99999999"),
        ("earliest_timestamp", 20_261_129, "found 20261129"),
        ("earliest_timestamp", "1700000000", "found '1700000000'"),  # in seconds
        ("earliest_timestamp", 946_684_799_999, "found 946684799999"),
        ("earliest_timestamp", "20261129120000", "found '20261129120000'"),  # as milliseconds, a day in 2612
        ("earliest_timestamp", 10_000_000_000_000, "found 10000000000000"),
        ("earliest_timestamp", -1, "found -1"),
        ("latest_timestamp", -1, "expected whole seconds from 0 to 315360000, found -1"),
        ("latest_timestamp", 315_360_001, "found 315360001"),
        ("endpoint", "service.cn-hangzhou.maxcompute.aliyun.com/api", "expected an http or https address"),
        ("endpoint", "ftp://host/api", "expected an http or https address"),
        ("endpoint", "http:///api", "expected an http or https address"),
        ("endpoint", "http://host:99999/api", "expected an http or https address"),
        ("endpoint", "http://host/api?a=b", "without login, query or fragment"),
        ("endpoint", "http://ho st/api", "expected an http or https address"),
        ("tunnel_endpoint", "dt", "fix it, or leave it out"),
        ("name", "Orders", "expected 1 to 48 digits, lower-case letters and hyphens, not starting with a hyphen"),
        ("group", "orders", "fix it, or leave it out for connect-{name}"),
        ("region", "China (Hangzhou)", "the id of a region, such as cn-hangzhou"),
        ("account_id", "188***", "the digits of an Alibaba Cloud account id"),
        ("role", "my role", "the name of a RAM role"),
        ("table", "test-kafka", "a letter and up to 127 letters, digits and underscores"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(field: str, given: object, expected: str) -> None:
    found = fault(**{field: given})
    assert found.startswith(f"{field}: expected ")
    assert expected in found


def test_every_fault_is_reported_at_once() -> None:
    found = faults(
        {
            "nmae": "x",
            "source_topic": "a b",
            "endpoint": "nowhere",
            "table": "t",
            "mode": "ALL",
            "format": "CSV",
            "concurrency": 4,
            "partition_column": "Topic",
        }
    )
    assert [text.split(" ")[0].rstrip(":") for text in found] == [
        *("nmae", "name", "source_topic", "concurrency", "endpoint", "project", "mode", "partition_column"),
        "bootstrap_servers",
    ]


def test_the_error_shows_every_fault() -> None:
    with pytest.raises(ConfigurationError, match="2 faults in the configuration") as raised:
        settings(mode="ALL", format="XML")
    assert all(text in str(raised.value) for text in raised.value.faults)


@pytest.mark.parametrize(
    ("misspelt", "hint"),
    [
        ("mod", "did you mean mode?"),
        ("time-zone", "did you mean time_zone?"),
        ("zzz", "docs/CONFIGURATION.md lists all"),
    ],
)
def test_an_unknown_setting_is_a_fault(misspelt: str, hint: str) -> None:
    assert fault(**{misspelt: "hidden"}) == f"{misspelt}: no such setting; {hint}"


def test_a_setting_given_twice_is_a_fault() -> None:
    assert fault(Mode="KEY", mode="KEY") == "mode: set twice, also as Mode; keep one of them"


def test_names_of_settings_may_be_in_any_case() -> None:
    assert Settings.from_mapping({field.upper(): value for field, value in GIVEN.items()}) == settings()


@pytest.mark.parametrize(
    "secret", ["http://user:hunter2@host/api", "LTAI5tHunter2", "STS.NUhunter2", "https://LTAIhunter2@host"]
)
@pytest.mark.parametrize("field", ["endpoint", "mode", "time_zone", "instance_id"])
def test_what_looks_like_a_secret_is_not_repeated(field: str, secret: str) -> None:
    found = fault(**{field: secret})
    assert "hunter2" not in found.lower()
    assert "looks like a secret" in found


def test_a_long_value_is_cut() -> None:
    assert fault(mode="x" * 10_000).count("x") < 100


def test_settings_cant_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        settings().mode = "KEY"  # type: ignore[misc] # that is the point


def test_settings_read_from_settings_are_the_same() -> None:
    original = settings(mode="KEY", format="CSV", earliest_timestamp="2020-01-01", allow_public_endpoint="true")
    assert Settings.from_mapping(asdict(original)) == original


# From the environment


def variables(**changed: str) -> dict[str, str]:
    return {f"CONNECTOR_{field.upper()}": value for field, value in {**GIVEN, **changed}.items()}


def test_the_environment_gives_the_same_settings() -> None:
    others = {"PATH": "/bin", "FC_REGION": "cn-beijing", "LOG_LEVEL": "DEBUG"}
    assert Settings.from_environment(variables(mode="KEY") | others) == settings(mode="KEY")


def test_the_process_environment_is_read_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in variables(partition="DAY").items():
        monkeypatch.setenv(variable, value)
    assert Settings.from_environment().partition == "DAY"


def test_faults_name_variables() -> None:
    given = variables(mode="ALL", moed="KEY", format="TEXT", project="")
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_environment(given | {"connector_format": "CSV"})
    assert [text.split(" ")[0].rstrip(":") for text in raised.value.faults] == [
        *("CONNECTOR_MOED", "connector_format", "CONNECTOR_PROJECT", "CONNECTOR_MODE")
    ]
    assert "did you mean CONNECTOR_MODE?" in raised.value.faults[0]
    assert "set twice, also as CONNECTOR_FORMAT" in raised.value.faults[1]


def test_rules_name_variables_too() -> None:
    with pytest.raises(ConfigurationError, match="CONNECTOR_FORMAT: CSV needs mode KEY or VALUE"):
        Settings.from_environment(variables(format="CSV"))


# From JSON


def test_json_gives_the_same_settings() -> None:
    assert Settings.from_json(json.dumps({**GIVEN, "concurrency": 3, "mode": None})) == settings(concurrency=3)


def test_json_with_a_name_twice_is_a_fault() -> None:
    text = json.dumps(GIVEN)[:-1] + ', "table": "other"}'
    with pytest.raises(ConfigurationError, match="table: set twice"):
        Settings.from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "null", "[[1, 2]]", b"\xff"])
def test_json_that_is_no_object_is_a_fault(text: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match="expected a JSON object of settings, found"):
        Settings.from_json(text)


def test_an_object_is_no_value() -> None:
    text = json.dumps({**GIVEN, "mode": {"a": 1}, "concurrency": [6]})
    with pytest.raises(ConfigurationError, match="2 faults"):
        Settings.from_json(text)
