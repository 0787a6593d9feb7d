"""Function Compute 2023-03-30: paths, and actions with the permission and the resource that each needs."""

from __future__ import annotations

from types import MappingProxyType

from local_emulator.control_plane.dispatch import Action, Product
from local_emulator.control_plane.errors import Refusal
from local_emulator.control_plane.function_compute import functions, triggers

_ALL = "acs:fc:{region}:{account}:"
_FUNCTION = f"{_ALL}functions/{{function}}"
_TRIGGER = f"{_FUNCTION}/triggers/{{trigger}}"
_ROOT = "/2023-03-30"
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
            Refusal.DENIED: (403, "AccessDenied"),
        }
    ),
)
