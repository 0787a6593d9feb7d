"""Function Compute 2023-03-30, and FC 2.0's invocations: paths, actions, and the permission and resource of each."""

from __future__ import annotations

from types import MappingProxyType

from local_emulator.control_plane.dispatch import Action, Product
from local_emulator.control_plane.errors import Refusal
from local_emulator.control_plane.function_compute import functions, invocations, layers, object_storage, triggers

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
_TRIGGER_PATH = f"{_FUNCTION_PATH}/triggers/{{trigger}}"
_LAYER_PATH = f"{_ROOT}/layers/{{layer}}"

PRODUCT = Product(
    "FC",
    "2023-03-30",
    MappingProxyType(
        {
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
            f"GET {_ROOT}/functions": "ListFunctions",
            f"POST {_ROOT}/functions": "CreateFunction",
            f"GET {_FUNCTION_PATH}": "GetFunction",
            f"PUT {_FUNCTION_PATH}": "UpdateFunction",
            f"DELETE {_FUNCTION_PATH}": "DeleteFunction",
            f"GET {_FUNCTION_PATH}/code": "GetFunctionCode",
            f"POST {_FUNCTION_PATH}/invocations": "InvokeFunction",
            **{f"POST /{version}{_OF_SERVICE}/invocations": "InvokeFunction" for version in EARLIER_VERSIONS},
            **{f"GET /{version}/tempBucketToken": "GetTempBucketToken" for version in EARLIER_VERSIONS},
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
