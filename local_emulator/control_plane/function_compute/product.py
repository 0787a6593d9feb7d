"""Function Compute 2023-03-30, and FC 2.0's invocations: paths, actions, and the permission and resource of each."""

from __future__ import annotations

from types import MappingProxyType

from local_emulator.control_plane.dispatch import Action, Product
from local_emulator.control_plane.errors import Refusal
from local_emulator.control_plane.function_compute import functions, invocations, triggers

_ALL = "acs:fc:{region}:{account}:"
_FUNCTION = f"{_ALL}functions/{{function}}"
_TRIGGER = f"{_FUNCTION}/triggers/{{trigger}}"
_ROOT = "/2023-03-30"
EARLIER_VERSIONS = ("2016-08-15", "2021-04-06")
"""The versions of FC 2.0's API."""
_OF_SERVICE = "/services/{service}/functions/{function}"
_FUNCTION_PATH = f"{_ROOT}/functions/{{function}}"
_TRIGGER_PATH = f"{_FUNCTION_PATH}/triggers/{{trigger}}"
_VERSIONS_PATH = f"{_ROOT}/layers/{{layer}}/versions"

PRODUCT = Product(
    "FC",
    "2023-03-30",
    MappingProxyType(
        {
            "ListFunctions": Action(functions.list_functions, "fc:ListFunctions", f"{_ALL}functions/*"),
            "GetFunction": Action(functions.show, "fc:GetFunction", _FUNCTION),
            "InvokeFunction": Action(
                invocations.invoke, "fc:InvokeFunction", _FUNCTION, waits=True, most_bytes=invocations.SYNC_BYTES
            ),
            # The trigger's name is in the body: the handler checks the permission.
            "CreateTrigger": Action(triggers.create),
            "GetTrigger": Action(triggers.show, "fc:GetTrigger", _TRIGGER),
            "UpdateTrigger": Action(triggers.update, "fc:UpdateTrigger", _TRIGGER),
            "DeleteTrigger": Action(triggers.delete, "fc:DeleteTrigger", _TRIGGER),
            "ListTriggers": Action(triggers.list_triggers, "fc:ListTriggers", f"{_FUNCTION}/triggers/*"),
            "ListLayerVersions": Action(
                functions.list_layer_versions, "fc:ListLayerVersions", f"{_ALL}layers/{{layer}}/versions/*"
            ),
            "GetLayerVersion": Action(
                functions.show_layer, "fc:GetLayerVersion", f"{_ALL}layers/{{layer}}/versions/{{version}}"
            ),
        }
    ),
    routes=MappingProxyType(
        {
            f"GET {_ROOT}/functions": "ListFunctions",
            f"GET {_FUNCTION_PATH}": "GetFunction",
            f"POST {_FUNCTION_PATH}/invocations": "InvokeFunction",
            **{f"POST /{version}{_OF_SERVICE}/invocations": "InvokeFunction" for version in EARLIER_VERSIONS},
            f"POST {_FUNCTION_PATH}/triggers": "CreateTrigger",
            f"GET {_FUNCTION_PATH}/triggers": "ListTriggers",
            f"GET {_TRIGGER_PATH}": "GetTrigger",
            f"PUT {_TRIGGER_PATH}": "UpdateTrigger",
            f"DELETE {_TRIGGER_PATH}": "DeleteTrigger",
            f"GET {_VERSIONS_PATH}": "ListLayerVersions",
            f"GET {_VERSIONS_PATH}/{{version}}": "GetLayerVersion",
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
