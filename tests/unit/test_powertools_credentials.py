"""Keys come from the request before the environment, are looked up each time, and don't show when printed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fc_powertools import credentials
from fc_powertools.context import Context
from fc_powertools.credentials import Credentials, CredentialsError

pytestmark = pytest.mark.quick

ENVIRONMENT = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "env-id",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "env-secret",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "env-token",
}
OF_ENVIRONMENT = Credentials("env-id", "env-secret", "env-token")
OF_REQUEST = Credentials("id", "secret", "token")


def context(*keys: object) -> SimpleNamespace:
    key_id, secret, token = keys or ("id", "secret", "token")
    given = SimpleNamespace(access_key_id=key_id, access_key_secret=secret, security_token=token)
    return SimpleNamespace(credentials=given)


def test_the_request_comes_before_the_environment() -> None:
    assert credentials.from_invocation(context(), ENVIRONMENT) == OF_REQUEST
    assert credentials.from_invocation(context(), {}) == OF_REQUEST


@pytest.mark.parametrize(
    "without",
    [
        object(),
        SimpleNamespace(credentials=None),
        context("", "", ""),
        context(None, None, None),
        context("id", "", "token"),
    ],
    ids=["python3.12", "none", "empty", "null", "half"],
)
def test_the_environment_serves_where_the_request_has_no_keys(without: object) -> None:
    assert credentials.from_invocation(without, ENVIRONMENT) == OF_ENVIRONMENT
    assert credentials.from_invocation(Context.of(without), ENVIRONMENT) == OF_ENVIRONMENT


def test_the_view_of_a_context_has_the_same_keys() -> None:
    assert credentials.from_invocation(Context.of(context()), ENVIRONMENT) == OF_REQUEST


def test_a_key_without_token_is_a_lasting_one() -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.endswith("TOKEN")}
    assert credentials.from_invocation(None, environment) == Credentials("env-id", "env-secret", "")


@pytest.mark.parametrize("left_out", ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"])
def test_no_keys_is_an_error_that_says_what_to_do(left_out: str) -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != left_out}
    with pytest.raises(
        CredentialsError, match="give the function a role, and leave disableInjectCredentials"
    ) as raised:
        credentials.from_invocation(None, environment)
    assert "env-" not in str(raised.value)


def test_the_environment_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert credentials.from_invocation(None) == OF_ENVIRONMENT
    monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "renewed")
    assert credentials.from_invocation(None).security_token == "renewed"


@pytest.mark.parametrize("show", [repr, str, "{}".format])
def test_printing_hides_the_secrets(show: object) -> None:
    assert callable(show)
    assert show(OF_REQUEST) == "Credentials(access_key_id='id')"
