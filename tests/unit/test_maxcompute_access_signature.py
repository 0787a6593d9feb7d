"""Signatures, dates and tokens of requests, without a server."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from local_emulator.foundation.clock import Clock
from local_emulator.maxcompute.access.names import Account
from local_emulator.maxcompute.authentication import Accounts, Credential, TemporaryKey
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.signature import canonical_strings, sign_v2, sign_v4

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick

ROLE = "RAM$1:role/sink"
TARGET = "/projects/p/tables/t?partitions&curr_project=p"
GOLDEN = "GET\n\n\nThu, 01 Jan 1970 00:00:00 GMT\n/projects/p/tables/t?curr_project=p&partitions"


@pytest.fixture
def accounts() -> Accounts:
    known = Accounts(Account("1", "me@example.com"))
    known.add("ak", Credential("sk", known.owner))
    return known


def headers(key: str = "sk", *, access_id: str = "ak", sent: datetime | None = None, day: str = "") -> dict[str, str]:
    """A signed request's headers; with a day, the signature is of version 4."""
    made = {"Date": format_datetime(sent or datetime.now(timezone.utc), usegmt=True)}
    canonical = next(canonical_strings("GET", TARGET, made))
    if day:
        scope = f"{access_id}/{day}/cn-hangzhou/odps/aliyun_v4_request"
        return made | {"Authorization": f"ODPS {scope}:{sign_v4(key, canonical, day, 'cn-hangzhou')}"}
    return made | {"Authorization": f"ODPS {access_id}:{sign_v2(key, canonical)}"}


def with_token(key: TemporaryKey) -> dict[str, str]:
    return headers(key.access_key, access_id=key.access_id) | {"authorization-sts-token": key.token}


def refused(accounts: Accounts, sent: dict[str, str], clock: Clock | None = None) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        accounts.authenticate("GET", TARGET, sent, clock or Clock())
    return caught.value


def test_golden_vectors_of_both_versions() -> None:
    canonical = next(canonical_strings("GET", TARGET, {"Date": "Thu, 01 Jan 1970 00:00:00 GMT"}))
    assert canonical == GOLDEN
    assert sign_v2("SK", canonical) == "fvSTY05p66ZzXLd0Gc84BbBSYj8="
    assert sign_v4("SK", canonical, "20261122", "cn-hangzhou") == "wjUdE+qlza8vQBr8ZGoQuxNGfPo="


def test_signed_are_the_service_headers_and_parameters_in_order() -> None:
    target = "/projects/p?x-odps-z=2&b=1"
    sent = {
        "X-ODPS-A": "1",
        "Content-MD5": "abc",
        "content-type": "application/xml",
        "Date": "D",
        "odps-tunnel-x": "no",
    }
    assert next(canonical_strings("POST", target, sent)) == (
        "POST\nabc\napplication/xml\nD\nx-odps-a:1\nx-odps-z:2\n/projects/p?b=1&x-odps-z=2"
    )


@pytest.mark.parametrize("value", ["pt%3D%27a%2520b%27", "pt%3D%27a%252Bb%27", "pt%3D%27%25E4%25B8%25AD%27"])
def test_values_may_be_decoded_once_or_twice(accounts: Accounts, value: str) -> None:
    target = f"/projects/p/tables/t?partition={value}"
    date = {"Date": format_datetime(datetime.now(timezone.utc), usegmt=True)}
    canonicals = set(canonical_strings("GET", target, date))
    assert len(canonicals) == 2
    for canonical in canonicals:
        signed = date | {"Authorization": f"ODPS ak:{sign_v2('sk', canonical)}"}
        assert accounts.authenticate("GET", target, signed, Clock()) == accounts.owner


def test_both_versions_are_accepted(accounts: Accounts) -> None:
    today = f"{datetime.now(timezone.utc):%Y%m%d}"
    for sent in (headers(), headers(day=today)):
        assert accounts.authenticate("GET", TARGET, sent, Clock()).name == "ALIYUN$1"


@pytest.mark.parametrize(
    ("sent", "status", "code", "message"),
    [
        (dict, 401, "AuthorizationRequired", "ODPS-0410011"),
        (lambda: {"Authorization": "Basic abc"}, 401, "AuthorizationRequired", "ODPS-0410021"),
        (lambda: headers("wrong"), 403, "SignatureNotMatch", "ODPS-0410042"),
        (lambda: headers(access_id="other"), 400, "InvalidParameter", "ODPS-0410051"),
        (lambda: headers(day="20200101"), 403, "SignatureNotMatch", "20200101"),
        (lambda: {"x-odps-bearer-token": "token"}, 401, "Unauthorized", "bearer token"),
        (lambda: headers() | {"application-authentication": "x"}, 401, "Unauthorized", "application"),
        (lambda: headers() | {"authorization-sts-token": "x"}, 401, "Unauthorized", "security token"),
    ],
)
def test_refusals(accounts: Accounts, sent: Callable[[], dict[str, str]], status: int, code: str, message: str) -> None:
    # Signed now: a signature lives for fifteen minutes, and tests are collected well before they're run.
    error = refused(accounts, sent())
    assert (error.status, error.code) == (status, code)
    assert message in error.message


def test_a_refusal_shows_no_secret(accounts: Accounts) -> None:
    key = accounts.issue(ROLE, datetime.now(timezone.utc), timedelta(hours=1))
    wrong = with_token(key) | {"authorization-sts-token": "another"}
    message = refused(accounts, wrong).message + refused(accounts, headers("wrong")).message
    assert all(secret not in message for secret in (key.token, key.access_key, "another", "sk", headers()["Date"]))


def test_the_window_for_dates_is_fifteen_minutes_each_way(accounts: Accounts) -> None:
    now = datetime.now(timezone.utc)
    for minutes in (-14, 14):
        sent = headers(sent=now + timedelta(minutes=minutes))
        assert accounts.authenticate("GET", TARGET, sent, Clock()) == accounts.owner
    for minutes in (-16, 16):
        error = refused(accounts, headers(sent=now + timedelta(minutes=minutes)))
        assert (error.status, error.code) == (403, "RequestTimeTooSkewed")
        assert "max_interval_date:900000,expire_date:" in error.message


def test_two_equal_requests_in_a_second_have_one_signature_and_are_both_accepted(accounts: Accounts) -> None:
    sent = datetime.now(timezone.utc).replace(microsecond=0)
    first, second = headers(sent=sent), headers(sent=sent + timedelta(microseconds=1))
    assert first == second
    for request in (first, second):
        assert accounts.authenticate("GET", TARGET, request, Clock()) == accounts.owner


def test_only_the_skew_of_the_clock_moves_the_window(accounts: Accounts) -> None:
    clock = Clock()
    clock.shift = timedelta(days=2)
    assert accounts.authenticate("GET", TARGET, headers(), clock) == accounts.owner
    clock.skew = timedelta(minutes=-20)
    assert refused(accounts, headers(), clock).code == "RequestTimeTooSkewed"


def test_a_date_that_is_none_is_refused(accounts: Accounts) -> None:
    date = {"Date": "yesterday"}
    canonical = next(canonical_strings("GET", TARGET, date))
    error = refused(accounts, date | {"Authorization": f"ODPS ak:{sign_v2('sk', canonical)}"})
    assert error.code == "InvalidArgument"
    assert "yesterday" in error.message


def test_a_token_is_good_until_it_expires(accounts: Accounts) -> None:
    clock = Clock()
    key = accounts.issue(ROLE, clock.now(), timedelta(hours=1))
    assert accounts.authenticate("GET", TARGET, with_token(key), clock).name == ROLE
    clock.shift = timedelta(hours=1, seconds=1)
    error = refused(accounts, with_token(key), clock)
    assert (error.status, error.code) == (403, "AuthenticationRequestExpired")


def test_a_temporary_key_needs_its_own_token(accounts: Accounts) -> None:
    now = datetime.now(timezone.utc)
    first, second = (accounts.issue(ROLE, now, timedelta(hours=1)) for _ in range(2))
    assert refused(accounts, headers(first.access_key, access_id=first.access_id)).code == "Unauthorized"
    swapped = with_token(first) | {"authorization-sts-token": second.token}
    assert refused(accounts, swapped).code == "Unauthorized"


def test_long_expired_keys_are_forgotten(accounts: Accounts) -> None:
    clock = Clock()
    old = accounts.issue(ROLE, clock.now(), timedelta(hours=1))
    clock.shift = timedelta(days=2)
    accounts.issue(ROLE, clock.now(), timedelta(hours=1))
    assert refused(accounts, with_token(old), clock).code == "InvalidParameter"
    assert accounts.authenticate("GET", TARGET, headers(), clock) == accounts.owner


def test_insecure_takes_everyone_for_the_owner() -> None:
    accounts = Accounts(Account("1"), insecure=True)
    assert accounts.authenticate("GET", TARGET, {}, Clock()).name == "ALIYUN$1"
