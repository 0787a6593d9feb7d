"""The invoke API, called with the real FC 2.0 client and with plain HTTP."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fc2
import pytest
import requests
import yaml
from alibabacloud_fc20230330 import models
from darabonba.runtime import RuntimeOptions
from fc2.auth import Auth
from fc2.fc_exceptions import FcError

from local_emulator.control_plane import server
from local_emulator.control_plane.function_compute import deployment
from local_emulator.control_plane.function_compute.entities import Functions
from local_emulator.control_plane.function_compute.invocations import ASYNC_BYTES, SYNC_BYTES
from local_emulator.control_plane.surroundings import Surroundings
from local_emulator.eventbridge.errors import InvocationError
from local_emulator.eventbridge.invocation import Invoker
from local_emulator.function_compute import template
from local_emulator.function_compute.runner import FunctionRunner, RunnerSettings
from local_emulator.function_compute.surroundings import Credentials
from tests.control_plane_clients import OWNER, policy, refused
from tests.stream_clients import function_compute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Deploy = Callable[..., server.ControlPlaneServer]

KEYS = Credentials("ak", "sk")


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Deploy]:
    """Serve one function, `demo`, whose index.py is the given source; keywords are its props."""
    running: list[server.ControlPlaneServer] = []

    def start(
        source: str,
        *,
        instances: int = 4,
        log_folder: Path | None = None,
        **props: Any,
    ) -> server.ControlPlaneServer:
        (tmp_path / "code").mkdir()
        (tmp_path / "code/index.py").write_text(source, encoding="utf-8")
        written = {
            "region": "cn-hangzhou",
            "functionName": "demo",
            "runtime": "python3.10",
            "code": "code",
            "handler": "index.handler",
            "timeout": 20,
            **props,
        }
        document = {"edition": "3.0.0", "resources": {"demo": {"component": "fc3", "props": written}}}
        (tmp_path / "template.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
        loaded = template.load(tmp_path / "template.yml", {})
        functions = Functions(runner=FunctionRunner(RunnerSettings(instances, log_folder, time_scale=0.001)))
        running.append(server.start(surroundings=Surroundings(functions=functions)))
        deployment.deploy(running[0], loaded)
        return running[0]

    yield start
    for each in running:
        each.stop()


def client(running: server.ControlPlaneServer, **changes: str) -> fc2.Client:
    keys = {"accessKeyID": KEYS.access_key_id, "accessKeySecret": KEYS.access_key_secret, **changes}
    return fc2.Client(endpoint=running.url, **keys)


def invoke(running: server.ControlPlaneServer, event: bytes = b"", **headers: str) -> fc2.client.FcHttpResponse:
    named = {f"x-fc-{name.replace('_', '-')}": value for name, value in headers.items()}
    return client(running).invoke_function("any.LATEST", "demo", payload=event, headers=named)


def failure(running: server.ControlPlaneServer, event: bytes = b"") -> dict[str, Any]:
    """The error body of an invocation that has to fail in the function."""
    with pytest.raises(FcError) as caught:
        invoke(running, event)
    assert caught.value.status_code == 200
    body: dict[str, Any] = json.loads(caught.value.message)
    return body


@pytest.mark.parametrize(
    ("returned", "expected"),
    [("'text é'", "text é".encode()), (r"b'\x00\xff'", b"\x00\xff"), ("{'a': [1]}", b'{"a": [1]}'), ("None", b"null")],
)
def test_the_result_is_returned(deploy: Deploy, returned: str, expected: bytes) -> None:
    reply = invoke(deploy(f"def handler(event, context):\n    return {returned}\n"))
    assert reply.data == expected
    assert reply.headers["X-Fc-Request-Id"].startswith("1-")
    assert float(reply.headers["X-Fc-Invocation-Duration"]) > 0
    assert float(reply.headers["X-Fc-Max-Memory-Usage"]) > 1


def test_cold_and_warm_calls_and_instances_are_listed(deploy: Deploy) -> None:
    running = deploy("def handler(event, context):\n    return 'fine'\n")
    url = f"{running.url}/emulator/instances"
    assert requests.get(url, timeout=30).json() == {}
    instances = {invoke(running).headers["X-Fc-Instance-Id"] for _ in range(3)}
    assert len(instances) == 1
    assert requests.get(url, timeout=30).json() == {
        "demo": {"cold": 1, "warm": 2, "instances": dict.fromkeys(instances, 0)}
    }


def test_the_event_arrives_as_bytes_up_to_32_mb(deploy: Deploy) -> None:
    source = (
        "import hashlib\ndef handler(event, context):\n    return repr(type(event)) + hashlib.sha256(event).hexdigest()"
    )
    running = deploy(source)
    largest = bytes(range(256)) * (SYNC_BYTES // 256)
    assert invoke(running, largest).data.decode() == "<class 'bytes'>" + hashlib.sha256(largest).hexdigest()
    with pytest.raises(FcError) as caught:
        invoke(running, largest + b"x")
    assert (caught.value.status_code, caught.value.err_code) == (400, "EntityTooLarge")
    assert "33554432" in caught.value.message


def test_stop_waits_for_no_client_that_never_ends_its_request(deploy: Deploy) -> None:
    running = deploy("")
    host, _, port = running.endpoint.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        head = f"POST /2023-03-30/functions/demo/invocations HTTP/1.1\r\nHost: {host}\r\n"
        client.sendall(f"{head}Content-Length: {SYNC_BYTES + 1}\r\n\r\nx".encode())
        assert client.recv(12) == b"HTTP/1.1 400"
        running.stop()


def test_an_exception_comes_back_as_the_service_reports_it(deploy: Deploy) -> None:
    running = deploy("def handler(event, context):\n    raise ValueError('bad é')\n")
    body = failure(running)
    assert (body["errorMessage"], body["errorType"]) == ("bad é", "ValueError")
    ((file, line, name, code),) = body["stackTrace"]
    assert file.endswith('code/index.py"')
    assert (line, name, code) == ("line 2", "in handler", "raise ValueError('bad é')")
    answer = invoke_3(running)
    assert answer.status_code == 200
    assert answer.headers["x-fc-error-type"] == "UnhandledInvocationError"


def test_a_module_that_cannot_be_imported_is_the_functions_error(deploy: Deploy) -> None:
    body = failure(deploy("import no_such_module\n"))
    assert (body["errorType"], body["errorMessage"]) == ("ModuleNotFoundError", "No module named 'no_such_module'")


@pytest.mark.parametrize("end", ["os._exit(1)", "sys.exit(1)", "os.kill(os.getpid(), 9)"])
def test_an_instance_that_ends_is_replaced(deploy: Deploy, end: str) -> None:
    source = (
        f"import os, sys\ndef handler(event, context):\n    if event:\n        {end}\n    return str(os.getpid())\n"
    )
    running = deploy(source)
    first = invoke(running).data
    body = failure(running, b"end")
    assert body["errorMessage"].startswith("Process exited unexpectedly before completing request (duration: ")
    assert invoke(running).data != first


def test_a_late_function_is_killed_with_what_it_started(deploy: Deploy, tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    source = f"""
import os, subprocess, sys, time
def handler(event, context):
    if event:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open({str(pid_file)!r}, "w") as file:
            file.write(f"{{os.getpid()}} {{child.pid}}")
        time.sleep(600)
    return "fine"
"""
    running = deploy(source, timeout=1)
    body = failure(running, b"sleep")
    assert body["errorMessage"].startswith("Function timed out after 1 seconds (maxMemoryUsage: ")
    for pid in pid_file.read_text(encoding="ascii").split():
        wait_for(partial(gone, int(pid)))
    assert invoke(running).data == b"fine"


def test_a_triggers_invocation_ends_at_the_triggers_limit(deploy: Deploy) -> None:
    """The event stream's limit of five minutes ends a function whose own timeout is longer."""
    running = deploy("import time\ndef handler(event, context):\n    time.sleep(float(event or 0))\n", timeout=600)
    stream = Invoker(running.url, "demo", access_key_id="ak", access_key_secret="sk", most_seconds=2)
    with pytest.raises(InvocationError, match=r"Function timed out after 2 seconds") as caught:
        stream(b"30")
    assert caught.value.retryable
    assert stream(b"0").body == b"null"
    with pytest.raises(FcError, match="x-emulator-most-seconds: expected seconds"):
        client(running).invoke_function("any", "demo", headers={"x-emulator-most-seconds": "soon"})


def test_more_memory_than_configured_ends_the_instance(deploy: Deploy) -> None:
    source = "import time\ndef handler(event, context):\n    held = b'x' * (400 * 2**20)\n    time.sleep(20)\n"
    body = failure(deploy(source, memorySize=256))
    assert body["errorMessage"].startswith("Process exited unexpectedly before completing request")


def test_output_that_fills_pipes_blocks_nobody(deploy: Deploy) -> None:
    running = deploy("def handler(event, context):\n    print('x' * 1_000_000)\n    print('last')\n    return 'done'\n")
    reply = invoke(running, log_type="Tail")
    assert reply.data == b"done"
    tail = base64.b64decode(reply.headers["X-Fc-Log-Result"]).decode()
    assert len(tail) == 4096
    request_id = reply.headers["X-Fc-Request-Id"]
    assert tail.endswith(f"x\nlast\nFC Invoke End RequestId: {request_id}\n")


def test_logs_stand_between_the_platforms_lines(deploy: Deploy) -> None:
    source = """
import logging, sys
def initialize(context):
    print("begun")
def handler(event, context):
    logging.getLogger().info("one %d", 1)
    context.getLogger().warning("two")
    print("three", file=sys.stderr)
"""
    running = deploy(source, instanceLifecycleConfig={"initializer": {"handler": "index.initialize", "timeout": 5}})
    request_id = invoke(running).headers["X-Fc-Request-Id"]
    cold, start, begun, end, invoke_start, one, two, three, invoke_end = running.functions.logs("demo")
    assert (cold, start, begun, end) == (
        "FunctionCompute python3 runtime inited.",
        f"FC Initialize Start RequestId: {request_id}",
        "begun",
        f"FC Initialize End RequestId: {request_id}",
    )
    assert one.split(" ", 1)[1] == f"{request_id} [INFO] one 1"
    assert one.split(" ", 1)[0].endswith("Z")
    assert two.split(" ", 1)[1] == f"{request_id} [WARNING] two"
    assert (invoke_start, three, invoke_end) == (
        f"FC Invoke Start RequestId: {request_id}",
        "three",
        f"FC Invoke End RequestId: {request_id}",
    )


def test_the_log_folder_gets_a_new_file_a_function(deploy: Deploy, tmp_path: Path) -> None:
    folder = tmp_path / "some/logs"
    folder.mkdir(parents=True)
    (folder / "demo.log").write_text("of an earlier run\n", encoding="utf-8")
    running = deploy("def handler(event, context):\n    print('é')\n", log_folder=folder)
    invoke(running)
    written = (folder / "demo.log").read_text(encoding="utf-8").splitlines()
    assert written == running.functions.logs("demo")
    assert written[2] == "é"


def test_idle_instances_are_used_again_and_more_start_up_to_the_limit(deploy: Deploy, tmp_path: Path) -> None:
    source = f"""
import os, pathlib, time
def handler(event, context):
    if event:
        pathlib.Path({str(tmp_path)!r}, event.decode()).touch()
        while not os.path.exists({str(tmp_path / "go")!r}):
            time.sleep(0.01)
    return str(os.getpid())
"""
    running = deploy(source, instances=2)
    assert invoke(running).data == invoke(running).data
    replies: dict[str, bytes] = {}

    def hold(name: str) -> None:
        replies[name] = invoke(running, name.encode()).data

    held = [threading.Thread(target=hold, args=(name,)) for name in ("a", "b")]
    for thread in held:
        thread.start()
    wait_for(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    with pytest.raises(FcError) as caught:
        invoke(running)
    assert (caught.value.status_code, caught.value.err_code) == (429, "ResourceExhausted")
    (tmp_path / "go").touch()
    for thread in held:
        thread.join()
    assert replies["a"] != replies["b"]
    assert invoke(running).data in replies.values()


def test_a_role_that_cannot_be_assumed_is_a_refusal(deploy: Deploy) -> None:
    running = deploy("def handler(event, context):\n    pass\n", role="acs:ram::1:role/gone")
    with pytest.raises(FcError, match="acs:ram::1:role/gone can") as caught:
        invoke(running)
    assert (caught.value.status_code, caught.value.err_code) == (403, "AccessDenied")


def test_an_asynchronous_invocation_is_accepted_and_runs(deploy: Deploy, tmp_path: Path) -> None:
    running = deploy(
        f"def handler(event, context):\n    open({str(tmp_path / 'event')!r}, 'wb').write(event)\n    raise OSError\n"
    )
    assert invoke_3(running, b"later", x_fc_invocation_type="Async").status_code == 202
    wait_for(lambda: sum("FC Invoke End" in line for line in running.functions.logs("demo")) == 4)
    assert (tmp_path / "event").read_bytes() == b"later", "a function's error is retried three times"
    limits = models.PutAsyncInvokeConfigRequest(body=models.PutAsyncInvokeConfigInput(max_async_retry_attempts=0))
    function_compute(running).put_async_invoke_config("demo", limits)
    invoke_3(running, b"once", x_fc_invocation_type="Async")
    wait_for(lambda: sum("FC Invoke End" in line for line in running.functions.logs("demo")) == 5)
    assert (tmp_path / "event").read_bytes() == b"once"
    failure(running, b"after")
    assert sum("FC Invoke End" in line for line in running.functions.logs("demo")) == 6, "without another try"
    with refused(400, "EntityTooLarge"):
        invoke_3(running, b"x" * (ASYNC_BYTES + 1), x_fc_invocation_type="Async")


@pytest.mark.parametrize(
    ("service_name", "function", "code"),
    [("any", "other", "FunctionNotFound"), ("any.prod", "demo", "AliasNotFound")],
)
def test_what_is_not_there_is_not_found(deploy: Deploy, service_name: str, function: str, code: str) -> None:
    running = deploy("def handler(event, context):\n    return 'here'\n")
    with pytest.raises(FcError) as caught:
        client(running).invoke_function(service_name, function)
    assert (caught.value.status_code, caught.value.err_code) == (404, code)


def test_a_path_of_another_api_is_refused(deploy: Deploy) -> None:
    running = deploy("def handler(event, context):\n    return 'here'\n")
    with pytest.raises(FcError) as caught:
        client(running).get_account_settings()
    assert (caught.value.status_code, caught.value.err_code) == (400, "PathNotSupported")


@pytest.mark.parametrize(
    ("keys", "code"),
    [({"accessKeyID": "other"}, "InvalidAccessKeyID"), ({"accessKeySecret": "other"}, "SignatureNotMatch")],
)
def test_a_call_with_other_keys_is_refused(deploy: Deploy, keys: dict[str, str], code: str) -> None:
    running = deploy("def handler(event, context):\n    return 'here'\n")
    with pytest.raises(FcError) as caught:
        client(running, **keys).invoke_function("any", "demo")
    assert (caught.value.status_code, caught.value.err_code) == (403, code)
    assert running.functions.logs("demo") == []


def test_an_unsigned_and_an_old_call_are_refused(deploy: Deploy) -> None:
    running = deploy("def handler(event, context):\n    return 'here'\n")
    url = f"{running.url}/2016-08-15/services/any/functions/demo/invocations"
    assert requests.post(url, timeout=30).json()["ErrorCode"] == "MissingRequiredHeader"
    old = {"date": "Tue, 01 Jan 2019 00:00:00 GMT", "authorization": "FC ak:c2lnbg=="}
    answer = requests.post(url, headers=old, timeout=30)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("name", "word"), [("invocation-type", "async"), ("invocation-type", "Later"), ("log-type", "Head")]
)
def test_an_unknown_kind_of_invocation_or_log_is_refused(deploy: Deploy, name: str, word: str) -> None:
    running = deploy("def handler(event, context):\n    return 'here'\n")
    with refused(400, "InvalidArgument") as found:
        invoke_3(running, b"", OWNER, **{f"x_fc_{name.replace('-', '_')}": word})
    assert f"x-fc-{name}: expected " in str(found.error.message)
    assert f"found {word!r}" in str(found.error.message)
    assert running.functions.logs("demo") == []
    assert invoke_3(running, x_fc_invocation_type="Sync", x_fc_log_type="None").body.read() == b"here"


def test_the_paths_of_fc_3_and_of_2021_invoke_too(deploy: Deploy) -> None:
    running = deploy("def handler(event, context):\n    return event[::-1]\n")
    assert invoke_3(running, b"abc").body.read() == b"cba"
    path = "/2021-04-06/services/any/functions/demo/invocations"
    headers = {"date": formatdate(usegmt=True), "content-type": "application/octet-stream"}
    headers["authorization"] = Auth(*OWNER, "").sign_request("POST", path, headers)
    answer = requests.post(running.url + path, data=b"abc", headers=headers, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"cba")


def test_an_invocation_needs_the_right_signature_and_the_permission(deploy: Deploy) -> None:
    running = deploy("def handler(event, context):\n    return 'here'\n")
    with refused(403, "SignatureNotMatch"):
        invoke_3(running, key=("ak", "other"))
    own = f"acs:fc:cn-hangzhou:{running.account_id}:functions/demo"
    alice = running.add_user("alice", policy("fc:InvokeFunction", resource=own))
    assert invoke_3(running, key=alice).body.read() == b"here"
    bob = running.add_user("bob", policy("fc:GetFunction"))
    with refused(403, "AccessDenied") as found:
        invoke_3(running, key=bob)
    assert f"fc:InvokeFunction on {own}" in str(found.error.message)
    with pytest.raises(FcError) as caught:
        client(running, accessKeyID=bob[0], accessKeySecret=bob[1]).invoke_function("any", "demo")
    assert (caught.value.status_code, caught.value.err_code) == (403, "AccessDenied")


def test_a_function_may_call_the_control_plane_while_many_of_it_run(deploy: Deploy) -> None:
    """Invocations keep no thread from the calls that they make."""
    source = """
import os, urllib.request
def handler(event, context):
    with urllib.request.urlopen(event.decode()) as answer:
        return str(answer.status)
"""
    running = deploy(source, instances=20)
    with ThreadPoolExecutor(20) as threads:
        replies = threads.map(lambda _: invoke(running, f"{running.url}/emulator/requests".encode()).data, range(20))
        assert list(replies) == [b"200"] * 20


def invoke_3(
    running: server.ControlPlaneServer, event: bytes = b"", key: tuple[str, str] = OWNER, **headers: str
) -> models.InvokeFunctionResponse:
    """Invoke by FC 3.0's SDK."""
    request = models.InvokeFunctionRequest(body=io.BytesIO(event))
    named = models.InvokeFunctionHeaders(**headers)
    return function_compute(running, key).invoke_function_with_options("demo", request, named, RuntimeOptions())


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """True when the process has ended (a killed child of a killed parent may be left as a zombie for init)."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
