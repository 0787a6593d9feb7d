"""KMS 2016-01-20: reads generic text secrets, which the program that starts the local cloud adds."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from local_emulator.control_plane.dispatch import Action, Product
from local_emulator.control_plane.errors import ApiError, Refusal

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call

_CURRENT, _PREVIOUS = "ACSCurrent", "ACSPrevious"


class Secret(msgspec.Struct):
    """A secret: its values, newest last; `created` is the time of the first value, as KMS shows times."""

    created: str
    values: list[str]


class Kms(msgspec.Struct):
    """The secrets, by their names."""

    secrets: dict[str, Secret] = {}


def show_secret(call: Call) -> dict[str, object]:
    """GetSecretValue: return the newest value, or the value of the requested version or stage."""
    name = call.required("SecretName")
    secret = call.state.part(Kms).secrets.get(name)
    if secret is None:
        raise ApiError(404, "Forbidden.ResourceNotFound", f"The secret {name} is not found.")
    newest = len(secret.values)
    stages = {_CURRENT: newest, _PREVIOUS: newest - 1}
    version = call.number("VersionId", stages.get(call.text("VersionStage", _CURRENT), 0), 0, 10**6)
    if not 1 <= version <= newest:
        raise ApiError(404, "Forbidden.ResourceNotFound", f"The secret {name} has no such version.")
    return {
        "SecretName": name,
        "SecretType": "Generic",
        "SecretDataType": "text",
        "SecretData": secret.values[version - 1],
        "VersionId": str(version),
        "VersionStages": {"VersionStage": [stage for stage, number in stages.items() if number == version]},
        "CreateTime": secret.created,
    }


PRODUCT = Product(
    "Kms",
    "2016-01-20",
    MappingProxyType(
        {"GetSecretValue": Action(show_secret, "kms:GetSecretValue", "acs:kms:{region}:{account}:secret/{SecretName}")}
    ),
    codes={Refusal.DENIED: (403, "Forbidden.NoPermission")},
)
