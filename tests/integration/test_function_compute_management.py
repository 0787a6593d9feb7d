"""Functions and layers that are created by Function Compute's own SDK run from their zips."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests
from alibabacloud_fc20230330 import models
from fastcrc import crc64

from local_emulator.control_plane import server
from tests.control_plane_clients import policy, refused
from tests.function_code import ECHO, create, inline, invoke, oss_headers, result, update, upload, zipped
from tests.stream_clients import REGION, eventually, function_compute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = {"name": "demo"}


@pytest.fixture
def plane() -> Iterator[server.ControlPlaneServer]:
    with server.start() as running:
        yield running


def arn(plane: server.ControlPlaneServer, layer: str, version: int = 1) -> str:
    return f"acs:fc:{REGION}:{plane.account_id}:layers/{layer}/versions/{version}"


def publish(plane: server.ControlPlaneServer, name: str, data: bytes, *runtimes: str) -> models.Layer:
    body = models.CreateLayerVersionInput(
        code=inline(data), compatible_runtime=list(runtimes or ("python3.10",)), description="a layer"
    )
    request = models.CreateLayerVersionRequest(body=body)
    return function_compute(plane).create_layer_version(name, request).body


def test_a_function_is_created_invoked_changed_and_deleted(plane: server.ControlPlaneServer) -> None:
    client, data = function_compute(plane), zipped(index=ECHO)
    settings = {"memory_size": 512, "cpu": 0.5, "disk_size": 512, "role": "", "environment_variables": {"A": "1"}}
    made = create(plane, data, **settings)
    assert made.function_arn == f"acs:fc:{REGION}:{plane.account_id}:functions/demo"
    assert (made.code_checksum, made.code_size) == (str(crc64.xz(data)), len(data))
    found = client.get_function("demo", models.GetFunctionRequest()).body
    assert found.to_map() == made.to_map()
    assert (found.memory_size, found.cpu, found.environment_variables, found.role) == (512, 0.5, {"A": "1"}, "")
    assert (found.instance_lifecycle_config, found.state) == (None, None)
    answer = invoke(plane, b"abc")
    assert answer.body.read() == b"abc"
    assert answer.headers["x-fc-code-checksum"] == found.code_checksum
    instances = client.list_instances("demo", models.ListInstancesRequest()).body.instances
    assert [instance.instance_id for instance in instances] == [answer.headers["x-fc-instance-id"]]
    with refused(409, "FunctionAlreadyExists"):
        create(plane, data)

    source = "import os\ndef handler(event, context):\n    return os.environ.get('A', '') + os.environ.get('B', '')\n"
    update(plane, code=inline(zipped(index=source)))
    assert result(plane) == b"1"
    changed = update(plane, environment_variables={"B": "2"}, timeout=30)
    assert (changed.timeout, changed.memory_size) == (30, 512)
    assert result(plane) == b"2"

    where = client.get_function_code("demo", models.GetFunctionCodeRequest()).body
    assert requests.get(where.url, timeout=30).content == zipped(index=source)
    assert where.checksum == changed.code_checksum
    assert client.delete_function("demo").status_code == 204
    with refused(404, "FunctionNotFound"):
        client.get_function("demo", models.GetFunctionRequest())
    with refused(404, "FunctionNotFound"):
        invoke(plane)
    assert create(plane, data).code_checksum == made.code_checksum
    assert result(plane, b"again") == b"again"


def test_a_change_ends_the_old_instances_after_their_call(plane: server.ControlPlaneServer, tmp_path: Path) -> None:
    source = f"""
import os, pathlib, time
def handler(event, context):
    if event:
        pathlib.Path({str(tmp_path / "begun")!r}).touch()
        while not os.path.exists({str(tmp_path / "go")!r}):
            time.sleep(0.01)
    return "old " + str(os.getpid())
def pre_stop(context):
    pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch()
"""
    hook = models.LifecycleHook(handler="index.pre_stop", timeout=5)
    create(plane, zipped(index=source), instance_lifecycle_config=models.InstanceLifecycleConfig(pre_stop=hook))
    idle = result(plane).split()[1].decode()
    replies: list[bytes] = []
    held = threading.Thread(target=lambda: replies.append(result(plane, b"wait")))
    held.start()
    assert eventually((tmp_path / "begun").exists, 20)
    update(plane, code=inline(zipped(index="def handler(event, context):\n    return 'new'\n")))
    assert result(plane) == b"new"
    (tmp_path / "go").touch()
    held.join()
    assert replies[0].startswith(b"old ")
    for pid in {idle, replies[0].split()[1].decode()}:
        assert eventually((tmp_path / pid).exists, 20)


def test_layers_earlier_ones_first_and_old_instances_keep_theirs(plane: server.ControlPlaneServer) -> None:
    client = function_compute(plane)
    first = publish(plane, "first", zipped(python__which="NAME = 'first'\n"))
    assert (first.layer_version_arn, first.version, first.acl) == (arn(plane, "first"), 1, "0")
    assert first.code_checksum == str(crc64.xz(zipped(python__which="NAME = 'first'\n")))
    publish(plane, "second", zipped(python__which="NAME = 'second'\n", python__only="NAME = 'only'\n"))
    publish(plane, "second", zipped(python__which="NAME = 'third'\n"))
    source = "import which, only\ndef handler(event, context):\n    return [which.NAME, only.NAME]\n"
    made = create(plane, zipped(index=source), layers=[arn(plane, "first"), arn(plane, "second")])
    assert [layer.arn for layer in made.layers] == [arn(plane, "first"), arn(plane, "second")]
    assert json.loads(result(plane)) == ["first", "only"]

    listed = client.list_layer_versions("second", models.ListLayerVersionsRequest(start_version=1, limit=1)).body
    assert ([layer.version for layer in listed.layers], listed.next_version) == ([1], 2)
    assert client.get_layer_version_by_arn(arn(plane, "second", 2)).body.version == 2
    layers = client.list_layers(models.ListLayersRequest()).body.layers
    assert [(layer.layer_name, layer.version) for layer in layers] == [("first", 1), ("second", 2)]
    client.put_layer_acl("first", models.PutLayerACLRequest(public="true"))
    assert client.get_layer_version("first", "1").body.acl == "1"

    update(plane, layers=[arn(plane, "second"), arn(plane, "first")])
    assert json.loads(result(plane)) == ["second", "only"]
    assert client.delete_layer_version("second", "1").status_code == 204
    assert json.loads(result(plane)) == ["second", "only"]
    with refused(404, "LayerVersionNotFound"):
        client.get_layer_version("second", "1")
    with refused(400, "InvalidArgument") as found:
        update(plane, layers=[arn(plane, "second")])
    assert "layers[0]: expected a layer version" in str(found.error.message)
    assert publish(plane, "second", zipped(python__which="NAME = 'fourth'\n")).version == 3
    with refused(404, "LayerNotFound"):
        client.list_layer_versions("none", models.ListLayerVersionsRequest())


@pytest.mark.parametrize("chunked", [False, True])
def test_code_by_an_upload(plane: server.ControlPlaneServer, *, chunked: bool) -> None:
    data = zipped(index=ECHO)
    location = upload(plane, data, chunked=chunked)
    assert create(plane, location).code_checksum == str(crc64.xz(data))
    assert result(plane, b"abc") == b"abc"
    location.oss_object_name = "none"
    with refused(400, "InvalidArgument") as found:
        update(plane, code=location)
    assert "none called none" in str(found.error.message)


def test_an_upload_needs_the_tokens_keys(plane: server.ControlPlaneServer) -> None:
    name = f"fc-code-{plane.account_id}/{plane.account_id}/x.zip"
    unknown = {"AccessKeyId": "STS.none", "AccessKeySecret": "x", "SecurityToken": "x"}
    for keys, code in (
        (unknown, "InvalidAccessKeyId"),
        ({**unknown, "AccessKeyId": "ak"}, "SignatureDoesNotMatch"),
        ({**unknown, "AccessKeyId": "ak", "AccessKeySecret": "sk"}, "InvalidSecurityToken"),
    ):
        answer = requests.put(f"{plane.url}/{name}", b"x", headers=oss_headers(keys, f"/{name}"), timeout=30)
        assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (403, True), answer.text
    answer = requests.put(f"{plane.url}/other/x", b"x", headers=oss_headers(unknown, "/other/x"), timeout=30)
    assert (answer.status_code, "<Code>NoSuchBucket</Code>" in answer.text) == (404, True)
    unsigned = requests.get(f"{plane.url}/2016-08-15/tempBucketToken", timeout=30)
    assert unsigned.status_code == 400
    assert {"ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"} == set(unsigned.json())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"runtime": "python3.11"}, "runtime: expected python3.10 or python3.12, found python3.11"),
        ({"handler": "index"}, "handler: expected FILE.FUNCTION"),
        ({"timeout": 0}, "timeout: expected a whole number of seconds from 1 to 86400, found 0"),
        ({"memory_size": 500}, "memorySize: expected 128 to 32768 in steps of 64, found 500"),
        ({"memory_size": 1024, "cpu": 2}, "cpu: expected 1 to 4 GB of memory per core"),
        ({"disk_size": 1024}, "diskSize: expected 512 or 10240, found 1024"),
        ({"instance_concurrency": 201}, "instanceConcurrency: expected 1 to 200, found 201"),
        ({"environment_variables": {"A": "x" * 4096}}, "environmentVariables: expected at most 4096 bytes"),
        ({"environment_variables": {"FC_A": "x"}}, "environmentVariables.FC_A: expected a name"),
        ({"layers": [f"acs:fc:cn-hangzhou:1:layers/l/versions/{n}" for n in range(1, 7)]}, "at most 5, found 6"),
        ({"layers": ["acs:fc:cn-hangzhou:1:layers/l/versions/1"]}, "layers[0]: expected a layer version"),
        ({"layers": ["python"]}, "layers[0]: expected acs:fc:REGION"),
        ({"function_name": "1st"}, "functionName: expected 1-64"),
        ({"function_name": None}, "functionName: expected 1-64"),
    ],
)
def test_a_wrong_configuration_is_refused(plane: server.ControlPlaneServer, changes: dict[str, Any], says: str) -> None:
    with refused(400, "InvalidArgument") as found:
        create(plane, zipped(index=ECHO), **changes)
    assert says in str(found.error.message)
    assert function_compute(plane).list_functions(models.ListFunctionsRequest()).body.functions == []


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (models.InputCodeLocation(), "Either ossBucketName/ossObjectName or zipFile must be set"),
        (models.InputCodeLocation(zip_file="no base64"), "code.zipFile: expected a zip in base64"),
        (inline(b"no zip"), "code: expected a zip archive"),
        (inline(zipped(__out="x")), "expected a relative path"),
        (models.InputCodeLocation(zip_file=base64.b64encode(zipped(a="")).decode(), checksum="1"), "code.checksum"),
    ],
)
def test_wrong_code_is_refused(plane: server.ControlPlaneServer, code: models.InputCodeLocation, says: str) -> None:
    with refused(400, "InvalidArgument") as found:
        create(plane, code)
    assert says in str(found.error.message)


def test_a_layer_for_another_runtime_is_refused(plane: server.ControlPlaneServer) -> None:
    publish(plane, "late", zipped(python__a=""), "python3.12")
    with refused(400, "InvalidArgument") as found:
        create(plane, zipped(index=ECHO), layers=[arn(plane, "late")])
    assert "expected a layer for python3.10" in str(found.error.message)
    with refused(400, "InvalidArgument"):
        publish(plane, "1st", zipped(python__a=""))


def test_permissions_of_functions_and_layers(plane: server.ControlPlaneServer) -> None:
    own = f"acs:fc:{REGION}:{plane.account_id}:functions/demo"
    role = f"acs:ram::{plane.account_id}:role/worker"
    alice = plane.add_user("alice", policy("fc:CreateFunction", resource=own))
    client = function_compute(plane, alice)
    body = models.CreateFunctionInput(
        code=inline(zipped(index=ECHO)), function_name="demo", runtime="python3.10", handler="index.handler", role=role
    )
    with refused(403, "AccessDenied") as found:
        client.create_function(models.CreateFunctionRequest(body=body))
    assert f"ram:PassRole on {role}" in str(found.error.message)
    body.role = None
    client.create_function(models.CreateFunctionRequest(body=body))
    with refused(403, "AccessDenied") as found:
        client.delete_function("demo")
    assert f"fc:DeleteFunction on {own}" in str(found.error.message)
    with refused(403, "AccessDenied"):
        client.list_layers(models.ListLayersRequest())


def test_functions_outlive_the_control_plane(tmp_path: Path) -> None:
    with server.start(tmp_path) as first:
        publish(first, "shared", zipped(python__shared="NAME = 'shared'\n"))
        source = "import shared\ndef handler(event, context):\n    return shared.NAME\n"
        create(first, zipped(index=source), layers=[arn(first, "shared")])
        create(first, zipped(index=ECHO), function_name="other")
    with server.start(tmp_path) as second:
        assert result(second) == b"shared"
        client = function_compute(second)
        client.delete_function("other")
        assert result(second) == b"shared"
        assert len(list((tmp_path / "code").iterdir())) == 2
