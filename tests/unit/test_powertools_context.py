"""The runtimes' contexts, each with what it has, read as one view."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fc_powertools.context import Context, Function, Tracing
from fc_powertools.credentials import Credentials

pytestmark = pytest.mark.quick

PYTHON_3_10 = SimpleNamespace(
    request_id="1-65f0-req",
    credentials=SimpleNamespace(access_key_id="id", access_key_secret="secret", security_token="token"),
    function=SimpleNamespace(name="sink", handler="index.handler", memory=1024, timeout=240),
    service=SimpleNamespace(
        name="service", log_project="project", log_store="store", qualifier="LATEST", version_id="7"
    ),
    region="cn-hangzhou",
    account_id="188",
    tracing=SimpleNamespace(span_context="span", jaeger_endpoint="http://jaeger", span_baggages={"a": "b"}),
)
PYTHON_3_12 = SimpleNamespace(
    request_id="1-65f0-req",
    function=SimpleNamespace(
        name="sink", handler="index.handler", memory=1024, timeout=240, version_id="7", qualifier="LATEST"
    ),
    region="cn-hangzhou",
    account_id="188",
    log_project="project",
    log_store="store",
)
FUNCTION = Function("sink", "index.handler", memory=1024, timeout=240, version_id="7", qualifier="LATEST")


def test_python_3_10_gives_all() -> None:
    assert Context.of(PYTHON_3_10) == Context(
        request_id="1-65f0-req",
        function=FUNCTION,
        service_name="service",
        region="cn-hangzhou",
        account_id="188",
        log_project="project",
        log_store="store",
        credentials=Credentials("id", "secret", "token"),
        tracing=Tracing("span", "http://jaeger", {"a": "b"}),
    )


def test_python_3_12_gives_the_same_facts_from_other_places() -> None:
    assert Context.of(PYTHON_3_12) == Context(
        request_id="1-65f0-req",
        function=FUNCTION,
        region="cn-hangzhou",
        account_id="188",
        log_project="project",
        log_store="store",
    )


@pytest.mark.parametrize("bare", [object(), None, SimpleNamespace(function=None, service=None, credentials=None)])
def test_a_context_without_anything_reads_as_none(bare: object) -> None:
    assert Context.of(bare) == Context()
    assert Context.of(bare).function == Function()


def test_empty_text_reads_as_none() -> None:
    bare = SimpleNamespace(request_id="", region="", function=SimpleNamespace(name="", timeout="", memory=None))
    assert Context.of(bare) == Context()


@pytest.mark.parametrize(("given", "read"), [(60, 60), ("60", 60), ("soon", None), (None, None), ([], None)])
def test_timeout_is_read_as_a_number(given: object, read: int | None) -> None:
    assert Context.of(SimpleNamespace(function=SimpleNamespace(timeout=given))).function.timeout == read


def test_a_view_of_a_view_is_itself() -> None:
    view = Context.of(PYTHON_3_10)
    assert Context.of(view) is view


def test_printing_a_context_hides_its_secrets() -> None:
    text = repr(Context.of(PYTHON_3_10))
    assert "secret" not in text.replace("access_key_secret", "")
    assert "token" not in text
