"""Roles, policies and service-linked roles, called with the real SDKs: rules, error codes, and what is kept."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_ram20150501 import models as m
from alibabacloud_resourcemanager20200331 import models as rm
from alibabacloud_tea_openapi.client import Client as OpenApi
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from local_emulator.control_plane import server
from local_emulator.control_plane.dispatch import Rules
from local_emulator.control_plane.ram.service_linked import SERVICES
from tests.control_plane_clients import ACCOUNT, config, policy, ram, refused, resource_manager, trust

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alibabacloud_ram20150501.client import Client as Ram
    from alibabacloud_resourcemanager20200331.client import Client as ResourceManager

NAME = "AliyunKafkaMaxComputeUser1"
FC = trust(Service=["fc.aliyuncs.com"])
BOTH = trust(Service=["fc.aliyuncs.com", "alikafka.aliyuncs.com"])
READ = {"policy_type": "System", "policy_name": "AliyunKafkaReadOnlyAccess"}
SOURCE_KAFKA = "source-kafka.eventbridge.aliyuncs.com"
SOURCE_KAFKA_ROLE = "AliyunServiceRoleForEventBridgeSourceKafka"


@pytest.fixture
def plane() -> Iterator[server.ControlPlaneServer]:
    with server.start(rules=Rules(role_quota=30)) as running:
        yield running


@pytest.fixture
def client(plane: server.ControlPlaneServer) -> Ram:
    return ram(plane)


@pytest.fixture
def resources(plane: server.ControlPlaneServer) -> ResourceManager:
    return resource_manager(plane)


def create(client: Ram, name: str = NAME, document: str = BOTH, **more: Any) -> m.CreateRoleResponseBodyRole:
    request = m.CreateRoleRequest(role_name=name, assume_role_policy_document=document, **more)
    return client.create_role(request).body.role


def get(client: Ram, name: str = NAME) -> m.GetRoleResponseBodyRole:
    return client.get_role(m.GetRoleRequest(role_name=name)).body.role


def test_a_role_is_shown_as_it_was_created(client: Ram) -> None:
    made = create(client, description="Kafka to MaxCompute", max_session_duration=7200)
    role = get(client)
    assert (role.role_name, role.arn) == (NAME, f"acs:ram::{ACCOUNT}:role/{NAME.lower()}")
    assert json.loads(role.assume_role_policy_document) == json.loads(BOTH)
    assert (role.description, role.max_session_duration) == ("Kafka to MaxCompute", 7200)
    assert (role.role_id, role.create_date) == (made.role_id, made.create_date)
    assert role.is_service_linked_role is False
    assert role.latest_deletion_task is None


def test_arns_may_keep_their_case() -> None:
    with server.start(rules=Rules(lower_case_arns=False)) as plane:
        assert create(ram(plane)).arn == f"acs:ram::{ACCOUNT}:role/{NAME}"


def test_names_are_the_same_in_any_case(client: Ram) -> None:
    create(client)
    with refused(409, "EntityAlreadyExists.Role"):
        create(client, NAME.upper())
    assert get(client, NAME.lower()).role_name == NAME


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"name": None}, "MissingRoleName"),
        ({"name": "a_b"}, "InvalidParameter.RoleName.InvalidChars"),
        ({"name": "a b"}, "InvalidParameter.RoleName.InvalidChars"),
        ({"name": "x" * 65}, "InvalidParameter.RoleName.Length"),
        ({"document": None}, "MissingAssumeRolePolicyDocument"),
        ({"document": "{}"}, "MalformedPolicyDocument"),
        ({"document": "fc"}, "MalformedPolicyDocument"),
        ({"document": policy("sts:AssumeRole")}, "MalformedPolicyDocument"),
        ({"document": FC + " " * 2048}, "InvalidParameter.AssumeRolePolicyDocument.Length"),
        ({"description": "x" * 1025}, "InvalidParameter.Description.Length"),
        ({"max_session_duration": 3599}, "InvalidParameter.MaxSessionDuration"),
        ({"max_session_duration": 43201}, "InvalidParameter.MaxSessionDuration"),
    ],
)
def test_rules_of_a_new_role(client: Ram, changed: dict[str, Any], code: str) -> None:
    with refused(400, code):
        create(client, **changed)
    assert client.list_roles(m.ListRolesRequest()).body.roles.role == []


def test_the_longest_name(client: Ram) -> None:
    assert create(client, "x" * 60 + "-.9Z").role_name == "x" * 60 + "-.9Z"


def test_a_role_too_many() -> None:
    with server.start(rules=Rules(role_quota=1)) as plane:
        create(ram(plane))
        with refused(409, "LimitExceeded.Role"):
            create(ram(plane), "second")


def test_an_update_changes_what_it_names(client: Ram) -> None:
    create(client, document=FC, description="before")
    client.update_role(m.UpdateRoleRequest(role_name=NAME.lower(), new_assume_role_policy_document=BOTH))
    role = get(client)
    assert (json.loads(role.assume_role_policy_document), role.description) == (json.loads(BOTH), "before")
    client.update_role(m.UpdateRoleRequest(role_name=NAME, new_description="after", new_max_session_duration=3601))
    role = get(client)
    assert (json.loads(role.assume_role_policy_document), role.description) == (json.loads(BOTH), "after")
    assert role.max_session_duration == 3601
    with refused(400, "MalformedPolicyDocument"):
        client.update_role(m.UpdateRoleRequest(role_name=NAME, new_assume_role_policy_document="{}"))


@pytest.mark.parametrize("action", ["get_role", "update_role", "delete_role", "list_policies_for_role"])
def test_a_role_that_is_not_there(client: Ram, action: str) -> None:
    request = getattr(m, "".join(word.title() for word in action.split("_")) + "Request")
    with refused(404, "EntityNotExist.Role"):
        getattr(client, action)(request(role_name=NAME))


def test_policies_are_attached_once_and_keep_the_role(client: Ram) -> None:
    create(client)
    attach = m.AttachPolicyToRoleRequest(role_name=NAME, **READ)
    detach = m.DetachPolicyFromRoleRequest(role_name=NAME, **READ)
    client.attach_policy_to_role(attach)
    with refused(409, "EntityAlreadyExists.Role.Policy"):
        client.attach_policy_to_role(attach)
    with refused(409, "DeleteConflict.Role.Policy"):
        client.delete_role(m.DeleteRoleRequest(role_name=NAME))
    listed = client.list_policies_for_role(m.ListPoliciesForRoleRequest(role_name=NAME)).body.policies.policy
    assert [(one.policy_type, one.policy_name, one.default_version) for one in listed] == [
        ("System", "AliyunKafkaReadOnlyAccess", "v1")
    ]
    client.detach_policy_from_role(detach)
    with refused(404, "EntityNotExist.Role.Policy"):
        client.detach_policy_from_role(detach)
    client.delete_role(m.DeleteRoleRequest(role_name=NAME))
    with refused(404, "EntityNotExist.Role"):
        get(client)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"role_name": "none"}, 404, "EntityNotExist.Role"),
        ({"policy_name": "none"}, 404, "EntityNotExist.Policy"),
        ({"policy_type": "Custom"}, 404, "EntityNotExist.Policy"),
        ({"policy_type": "system"}, 400, "InvalidParameter.PolicyType"),
        ({"policy_type": None}, 400, "MissingPolicyType"),
    ],
)
def test_what_can_not_be_attached(client: Ram, changed: dict[str, Any], status: int, code: str) -> None:
    create(client)
    with refused(status, code):
        client.attach_policy_to_role(m.AttachPolicyToRoleRequest(**{"role_name": NAME, **READ, **changed}))


def test_a_list_comes_in_pages(client: Ram) -> None:
    names = [f"role-{number:02}" for number in range(7)]
    for name in names:
        create(client, name, tag=[m.CreateRoleRequestTag(key="odd", value=str(int(name[-1]) % 2))])
    found, marker = [], None
    for count in (3, 3, 1):
        body = client.list_roles(m.ListRolesRequest(max_items=3, marker=marker)).body
        assert len(body.roles.role) == count
        found += [role.role_name for role in body.roles.role]
        marker = body.marker
        assert body.is_truncated == bool(marker)
    assert found == names
    tagged = client.list_roles(m.ListRolesRequest(tag=[m.ListRolesRequestTag(key="odd", value="1")]))
    assert [role.role_name for role in tagged.body.roles.role] == names[1::2]
    with refused(400, "InvalidParameter.MaxItems"):
        client.list_roles(m.ListRolesRequest(max_items=1001))


def make_policy(
    client: Ram, name: str = "connector", document: str = "", **more: Any
) -> m.CreatePolicyResponseBodyPolicy:
    request = m.CreatePolicyRequest(policy_name=name, policy_document=document or policy("log:*"), **more)
    return client.create_policy(request).body.policy


def test_a_policy_has_versions(client: Ram) -> None:
    assert make_policy(client, description="mine").default_version == "v1"
    new = policy("oss:*")
    kept = m.CreatePolicyVersionRequest(policy_name="connector", policy_document=new)
    assert client.create_policy_version(kept).body.policy_version.version_id == "v2"
    read = m.GetPolicyRequest(policy_name="Connector", policy_type="Custom")
    assert client.get_policy(read).body.default_policy_version.policy_document == policy("log:*")
    forced = m.CreatePolicyVersionRequest(policy_name="connector", policy_document=new, set_as_default=True)
    assert client.create_policy_version(forced).body.policy_version.is_default_version is True
    body = client.get_policy(read).body
    assert (body.policy.default_version, body.default_policy_version.policy_document) == ("v3", new)
    assert body.policy.description == "mine"


def test_a_policy_has_five_versions_at_most(client: Ram) -> None:
    make_policy(client)
    one_more = {"policy_name": "connector", "policy_document": policy("oss:*")}
    for _ in range(4):
        client.create_policy_version(m.CreatePolicyVersionRequest(**one_more))
    with refused(409, "LimitExceeded.Policy.Version"):
        client.create_policy_version(m.CreatePolicyVersionRequest(**one_more))
    rotating = m.CreatePolicyVersionRequest(
        **one_more, rotate_strategy="DeleteOldestNonDefaultVersionWhenLimitExceeded"
    )
    assert client.create_policy_version(rotating).body.policy_version.version_id == "v6"
    read = m.GetPolicyRequest(policy_name="connector", policy_type="Custom")
    assert client.get_policy(read).body.default_policy_version.version_id == "v1"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"name": "a.b"}, 400, "InvalidParameter.PolicyName.InvalidChars"),
        ({"name": "x" * 129}, 400, "InvalidParameter.PolicyName.Length"),
        ({"document": FC}, 400, "MalformedPolicyDocument"),
        ({"document": policy("log:*") + " " * 6144}, 400, "InvalidParameter.PolicyDocument.Length"),
        ({"name": "CONNECTOR"}, 409, "EntityAlreadyExists.Policy"),
        ({"name": "AliyunFCFullAccess"}, 409, "EntityAlreadyExists.Policy"),
    ],
)
def test_rules_of_a_new_policy(client: Ram, changed: dict[str, Any], status: int, code: str) -> None:
    make_policy(client)
    with refused(status, code):
        make_policy(client, **changed)


def test_a_policy_goes_when_nobody_has_it(client: Ram) -> None:
    create(client)
    make_policy(client)
    custom = {"policy_type": "Custom", "policy_name": "connector"}
    client.attach_policy_to_role(m.AttachPolicyToRoleRequest(role_name=NAME, **custom))
    delete = m.DeletePolicyRequest(policy_name="connector")
    with refused(409, "DeleteConflict.Policy.Role"):
        client.delete_policy(delete)
    client.detach_policy_from_role(m.DetachPolicyFromRoleRequest(role_name=NAME, **custom))
    client.create_policy_version(m.CreatePolicyVersionRequest(policy_name="connector", policy_document=policy("oss:*")))
    with refused(409, "DeleteConflict.Policy.Version"):
        client.delete_policy(delete)
    client.attach_policy_to_role(m.AttachPolicyToRoleRequest(role_name=NAME, **custom))
    client.delete_policy(m.DeletePolicyRequest(policy_name="connector", cascading_delete=True))
    assert client.list_policies_for_role(m.ListPoliciesForRoleRequest(role_name=NAME)).body.policies.policy == []
    with refused(404, "EntityNotExist.Policy"):
        client.delete_policy(delete)


def test_system_policies_can_be_read(client: Ram) -> None:
    read = m.GetPolicyRequest(policy_name="AliyunFCFullAccess", policy_type="System")
    document = json.loads(client.get_policy(read).body.default_policy_version.policy_document)
    assert document["Statement"][0]["Action"] == ["fc:*"]
    with refused(404, "EntityNotExist.Policy"):
        client.get_policy(m.GetPolicyRequest(policy_name="AliyunNothing", policy_type="System"))


def test_of_two_at_once_one_makes_the_role(plane: server.ControlPlaneServer) -> None:
    def attempt(_: int) -> str:
        try:
            create(ram(plane))
        except ClientException as error:
            return str(error.code)
        return "made"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(8))) == ["EntityAlreadyExists.Role"] * 7 + ["made"]


def link(client: Ram, service: str = SOURCE_KAFKA, **more: str) -> m.CreateServiceLinkedRoleResponseBodyRole:
    request = m.CreateServiceLinkedRoleRequest(service_name=service, **more)
    return client.create_service_linked_role(request).body.role


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_linked_role_of_each_service(client: Ram, service: str) -> None:
    made = link(client, service)
    role = get(client, made.role_name)
    assert (role.is_service_linked_role, role.arn) == (True, f"acs:ram::{ACCOUNT}:role/{role.role_name.lower()}")
    assert json.loads(role.assume_role_policy_document)["Statement"][0]["Principal"] == {"Service": [service]}
    shown = m.GetServiceLinkedRoleTemplateRequest(service_name=service)
    template = client.get_service_linked_role_template(shown).body.service_linked_role_template
    assert (template.role_name_prefix, template.multiple_roles_allowed) == (role.role_name, False)
    listed = client.list_policies_for_role(m.ListPoliciesForRoleRequest(role_name=role.role_name)).body
    assert [one.policy_name for one in listed.policies.policy] == [template.system_policy_name]


def test_ram_and_resource_manager_make_the_same_service_linked_role(client: Ram, resources: ResourceManager) -> None:
    assert link(client).role_name == SOURCE_KAFKA_ROLE
    again = rm.CreateServiceLinkedRoleRequest(service_name=SOURCE_KAFKA)
    with refused(409, "EntityAlreadyExists.Role"):
        resources.create_service_linked_role(again)
    with refused(409, "EntityAlreadyExists.Role"):
        link(client)
    role = resources.get_role(rm.GetRoleRequest(role_name=SOURCE_KAFKA_ROLE)).body.role
    assert (role.is_service_linked_role, role.role_principal_name.partition("@")[0]) == (True, SOURCE_KAFKA_ROLE)
    with refused(404, "EntityNotExist.Role"):
        resources.get_role(rm.GetRoleRequest(role_name="none"))


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"service": None}, 400, "MissingServiceName"),
        ({"service": "eventbridge.aliyuncs.com"}, 404, "EntityNotExist.ServiceLinkedRoleTemplate"),
        ({"custom_suffix": "x"}, 400, "InvalidParameter.CustomSuffix.NotAllowed"),
        ({"description": "x"}, 400, "InvalidParameter.Description.NotAllowed"),
    ],
)
def test_rules_of_a_new_service_linked_role(client: Ram, changed: dict[str, Any], status: int, code: str) -> None:
    with refused(status, code):
        link(client, **changed)


def test_only_the_service_changes_a_service_linked_role(client: Ram) -> None:
    link(client)
    named = {"role_name": SOURCE_KAFKA_ROLE}
    with refused(403, "OperationDenied.ServiceLinkedRole"):
        client.update_role(m.UpdateRoleRequest(new_assume_role_policy_document=FC, **named))
    with refused(403, "OperationDenied.ServiceLinkedRole"):
        client.delete_role(m.DeleteRoleRequest(**named))
    with refused(403, "OperationDenied.ServiceLinkedRole"):
        client.attach_policy_to_role(m.AttachPolicyToRoleRequest(**READ, **named))


def test_a_service_linked_role_is_deleted_by_a_task(client: Ram, resources: ResourceManager) -> None:
    link(client)
    deletion = rm.DeleteServiceLinkedRoleRequest(role_name=SOURCE_KAFKA_ROLE)
    task = resources.delete_service_linked_role(deletion).body.deletion_task_id
    assert task.startswith(f"task/acs-service-role/{SOURCE_KAFKA}/{SOURCE_KAFKA_ROLE}/")
    assert resources.delete_service_linked_role(deletion).body.deletion_task_id == task
    assert get(client, SOURCE_KAFKA_ROLE).latest_deletion_task.deletion_task_id == task
    status = rm.GetServiceLinkedRoleDeletionStatusRequest(deletion_task_id=task)
    states = [resources.get_service_linked_role_deletion_status(status).body.status for _ in range(3)]
    assert states == ["IN_PROGRESS", "SUCCEEDED", "SUCCEEDED"]
    with refused(404, "EntityNotExist.Role"):
        get(client, SOURCE_KAFKA_ROLE)
    link(client)


def test_what_no_task_deletes(client: Ram, resources: ResourceManager) -> None:
    create(client)
    with refused(404, "EntityNotExist.ServiceLinkedRole"):
        resources.delete_service_linked_role(rm.DeleteServiceLinkedRoleRequest(role_name=NAME))
    with refused(404, "EntityNotExist.Role"):
        resources.delete_service_linked_role(rm.DeleteServiceLinkedRoleRequest(role_name="none"))
    with refused(404, "EntityNotExist.DeletionTask"):
        resources.get_service_linked_role_deletion_status(
            rm.GetServiceLinkedRoleDeletionStatusRequest(deletion_task_id="task/none")
        )


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_whether_a_service_linked_role_exists(plane: server.ControlPlaneServer, client: Ram, method: str) -> None:
    """An action that no SDK has: called with the SDKs' own core."""

    def exists() -> object:
        params = Params(
            action="CheckServiceLinkedRoleExistence", version="2020-03-31", protocol="http", pathname="/",
            method=method, auth_type="AK", style="RPC", req_body_type="formData", body_type="json",
        )  # fmt: skip
        request = OpenApiRequest(query={"ServiceName": SOURCE_KAFKA})
        return OpenApi(config(plane)).call_api(params, request, RuntimeOptions())["body"]["Exists"]

    assert exists() is False
    link(client)
    assert exists() is True


def test_resource_manager_lists_roles_in_numbered_pages(client: Ram, resources: ResourceManager) -> None:
    for number in range(12):
        create(client, f"role-{number:02}")
    body = resources.list_roles(rm.ListRolesRequest(page_number=2)).body
    assert [role.role_name for role in body.roles.role] == ["role-10", "role-11"]
    assert (body.total_count, body.page_number, body.page_size) == (12, 2, 10)
    with refused(400, "InvalidParameter.PageSize"):
        resources.list_roles(rm.ListRolesRequest(page_size=101))


def test_the_account_is_kept(tmp_path: Path) -> None:
    with server.start(tmp_path) as first:
        create(ram(first))
        link(ram(first))
        ram(first).attach_policy_to_role(m.AttachPolicyToRoleRequest(role_name=NAME, **READ))
        before = get(ram(first)).to_map()
    with server.start(tmp_path) as second:
        assert get(ram(second)).to_map() == before
        assert get(ram(second), SOURCE_KAFKA_ROLE).is_service_linked_role is True
        with refused(409, "EntityAlreadyExists.Role.Policy"):
            ram(second).attach_policy_to_role(m.AttachPolicyToRoleRequest(role_name=NAME, **READ))
