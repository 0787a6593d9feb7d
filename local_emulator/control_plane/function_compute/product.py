"""Function Compute 2023-03-30, and FC 2.0's invocations: paths, actions, and the permission and resource of each."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.control_plane.dispatch import Action, Product
from local_emulator.control_plane.errors import Refusal
from local_emulator.control_plane.function_compute import (
    configurations,
    functions,
    invocations,
    layers,
    object_storage,
    triggers,
    versions,
)

if TYPE_CHECKING:
    from local_emulator.control_plane.function_compute.configurations import Configuration

_ALL = "acs:fc:{region}:{account}:"
_FUNCTION = f"{_ALL}functions/{{function}}"
_TRIGGER = f"{_FUNCTION}/triggers/{{trigger}}"
_LAYER = f"{_ALL}layers/{{layer}}"
_LAYER_VERSION = f"{_LAYER}/versions/{{version}}"
_ROOT = "/2023-03-30"
EARLIER_VERSIONS = ("2016-08-15", "2021-04-06")
"""The versions of FC 2.0's API."""
_OF_SERVICE = "/services/{service}/functions/{function}"
_FUNCTION_PATH = f"{_ROOT}/functions/{{function}}"
_VERBS = {"PUT": "Put", "GET": "Get", "DELETE": "Delete"}
_LISTS = {"concurrency": "concurrency-config"}
_TRIGGER_PATH = f"{_FUNCTION_PATH}/triggers/{{trigger}}"
_LAYER_PATH = f"{_ROOT}/layers/{{layer}}"


def _of_qualifiers(name: str, configuration: Configuration) -> dict[str, Action]:
    """Return the four actions on a configuration that qualifiers of functions have."""
    return {
        f"Put{name}": Action(configuration.put, f"fc:Put{name}", _FUNCTION),
        f"Get{name}": Action(configuration.show, f"fc:Get{name}", _FUNCTION),
        f"Delete{name}": Action(configuration.delete, f"fc:Delete{name}", _FUNCTION),
        f"List{name}s": Action(configuration.list_all, f"fc:List{name}s", f"{_ALL}functions/*"),
    }


def _routes(name: str, path: str) -> dict[str, str]:
    """Return the routes of a function's configuration; `path` is the end of the path."""
    return {
        **{f"{method} {_FUNCTION_PATH}/{path}": f"{verb}{name}" for method, verb in _VERBS.items()},
        f"GET {_ROOT}/{_LISTS.get(path, path)}s": f"List{name}s",
    }


PRODUCT = Product(
    "FC",
    "2023-03-30",
    MappingProxyType(
        {
            **_of_qualifiers("AsyncInvokeConfig", configurations.ASYNC_INVOKE),
            **_of_qualifiers("ProvisionConfig", configurations.PROVISION),
            **_of_qualifiers("ScalingConfig", configurations.SCALING),
            "PutConcurrencyConfig": Action(configurations.put_concurrency, "fc:PutConcurrencyConfig", _FUNCTION),
            "GetConcurrencyConfig": Action(configurations.show_concurrency, "fc:GetConcurrencyConfig", _FUNCTION),
            "DeleteConcurrencyConfig": Action(
                configurations.delete_concurrency, "fc:DeleteConcurrencyConfig", _FUNCTION
            ),
            "ListConcurrencyConfigs": Action(
                configurations.list_concurrency, "fc:ListConcurrencyConfigs", f"{_ALL}functions/*"
            ),
            "CreateVpcBinding": Action(configurations.bind_vpc, "fc:CreateVpcBinding", _FUNCTION),
            "ListVpcBindings": Action(configurations.list_vpcs, "fc:ListVpcBindings", _FUNCTION),
            "DeleteVpcBinding": Action(configurations.unbind_vpc, "fc:DeleteVpcBinding", _FUNCTION),
            "PublishFunctionVersion": Action(versions.publish, "fc:PublishFunctionVersion", _FUNCTION),
            "ListFunctionVersions": Action(versions.list_versions, "fc:ListFunctionVersions", _FUNCTION),
            "DeleteFunctionVersion": Action(versions.delete_version, "fc:DeleteFunctionVersion", _FUNCTION),
            "CreateAlias": Action(versions.create_alias, "fc:CreateAlias", _FUNCTION),
            "GetAlias": Action(versions.show_alias, "fc:GetAlias", _FUNCTION),
            "UpdateAlias": Action(versions.update_alias, "fc:UpdateAlias", _FUNCTION),
            "DeleteAlias": Action(versions.delete_alias, "fc:DeleteAlias", _FUNCTION),
            "ListAliases": Action(versions.list_aliases, "fc:ListAliases", _FUNCTION),
            "ListFunctions": Action(functions.list_functions, "fc:ListFunctions", f"{_ALL}functions/*"),
            "GetFunction": Action(functions.show, "fc:GetFunction", _FUNCTION),
            "GetFunctionCode": Action(functions.show_code, "fc:GetFunctionCode", _FUNCTION),
            # The function's name is in the body: the handler checks the permission.
            "CreateFunction": Action(functions.create, waits=True),
            "UpdateFunction": Action(functions.update, "fc:UpdateFunction", _FUNCTION, waits=True),
            "DeleteFunction": Action(functions.delete, "fc:DeleteFunction", _FUNCTION),
            "GetTempBucketToken": Action(object_storage.token),
            "InvokeFunction": Action(
                invocations.invoke, "fc:InvokeFunction", _FUNCTION, waits=True, most_bytes=invocations.SYNC_BYTES
            ),
            "ListInstances": Action(invocations.list_instances, "fc:ListInstances", _FUNCTION, waits=True),
            # The trigger's name is in the body: the handler checks the permission.
            "CreateTrigger": Action(triggers.create),
            "GetTrigger": Action(triggers.show, "fc:GetTrigger", _TRIGGER),
            "UpdateTrigger": Action(triggers.update, "fc:UpdateTrigger", _TRIGGER),
            "DeleteTrigger": Action(triggers.delete, "fc:DeleteTrigger", _TRIGGER),
            "ListTriggers": Action(triggers.list_triggers, "fc:ListTriggers", f"{_FUNCTION}/triggers/*"),
            "CreateLayerVersion": Action(
                layers.create_version, "fc:CreateLayerVersion", f"{_LAYER}/versions/*", waits=True
            ),
            "DeleteLayerVersion": Action(layers.delete_version, "fc:DeleteLayerVersion", _LAYER_VERSION),
            "GetLayerVersion": Action(layers.show_version, "fc:GetLayerVersion", _LAYER_VERSION),
            "GetLayerVersionByArn": Action(layers.show_by_arn, "fc:GetLayerVersion", "{arn}"),
            "ListLayerVersions": Action(layers.list_versions, "fc:ListLayerVersions", f"{_LAYER}/versions/*"),
            "ListLayers": Action(layers.list_layers, "fc:ListLayers", f"{_ALL}layers/*"),
            "PutLayerACL": Action(layers.put_acl, "fc:PutLayerACL", _LAYER),
        }
    ),
    routes=MappingProxyType(
        {
            **_routes("AsyncInvokeConfig", "async-invoke-config"),
            **_routes("ProvisionConfig", "provision-config"),
            **_routes("ScalingConfig", "scaling-config"),
            **_routes("ConcurrencyConfig", "concurrency"),
            f"POST {_FUNCTION_PATH}/vpc-bindings": "CreateVpcBinding",
            f"GET {_FUNCTION_PATH}/vpc-bindings": "ListVpcBindings",
            f"DELETE {_FUNCTION_PATH}/vpc-bindings/{{vpc}}": "DeleteVpcBinding",
            f"POST {_FUNCTION_PATH}/versions": "PublishFunctionVersion",
            f"GET {_FUNCTION_PATH}/versions": "ListFunctionVersions",
            f"DELETE {_FUNCTION_PATH}/versions/{{version}}": "DeleteFunctionVersion",
            f"POST {_FUNCTION_PATH}/aliases": "CreateAlias",
            f"GET {_FUNCTION_PATH}/aliases": "ListAliases",
            f"GET {_FUNCTION_PATH}/aliases/{{alias}}": "GetAlias",
            f"PUT {_FUNCTION_PATH}/aliases/{{alias}}": "UpdateAlias",
            f"DELETE {_FUNCTION_PATH}/aliases/{{alias}}": "DeleteAlias",
            f"GET {_ROOT}/functions": "ListFunctions",
            f"POST {_ROOT}/functions": "CreateFunction",
            f"GET {_FUNCTION_PATH}": "GetFunction",
            f"PUT {_FUNCTION_PATH}": "UpdateFunction",
            f"DELETE {_FUNCTION_PATH}": "DeleteFunction",
            f"GET {_FUNCTION_PATH}/code": "GetFunctionCode",
            f"POST {_FUNCTION_PATH}/invocations": "InvokeFunction",
            **{f"POST /{version}{_OF_SERVICE}/invocations": "InvokeFunction" for version in EARLIER_VERSIONS},
            **{f"GET /{version}/tempBucketToken": "GetTempBucketToken" for version in EARLIER_VERSIONS},
            f"GET {_FUNCTION_PATH}/instances": "ListInstances",
            f"POST {_FUNCTION_PATH}/triggers": "CreateTrigger",
            f"GET {_FUNCTION_PATH}/triggers": "ListTriggers",
            f"GET {_TRIGGER_PATH}": "GetTrigger",
            f"PUT {_TRIGGER_PATH}": "UpdateTrigger",
            f"DELETE {_TRIGGER_PATH}": "DeleteTrigger",
            f"GET {_ROOT}/layers": "ListLayers",
            f"GET {_ROOT}/layerarn/{{arn:.+}}": "GetLayerVersionByArn",
            f"PUT {_LAYER_PATH}/acl": "PutLayerACL",
            f"GET {_LAYER_PATH}/versions": "ListLayerVersions",
            f"POST {_LAYER_PATH}/versions": "CreateLayerVersion",
            f"GET {_LAYER_PATH}/versions/{{version}}": "GetLayerVersion",
            f"DELETE {_LAYER_PATH}/versions/{{version}}": "DeleteLayerVersion",
        }
    ),
    codes=MappingProxyType(
        {
            Refusal.UNKNOWN_KEY: (403, "InvalidAccessKeyID"),
            Refusal.WRONG_SIGNATURE: (403, "SignatureNotMatch"),
            Refusal.INCOMPLETE: (400, "MissingRequiredHeader"),
            Refusal.WRONG_TIME: (403, "AccessDenied"),
            Refusal.DENIED: (403, "AccessDenied"),
        }
    ),
)
