"""KMS 2016-01-20, as far as it gives away secrets: generic ones of text, added by whoever starts the local cloud."""

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
    """A secret: its values, the newest last; `created` is the time of the first, as it's shown."""

    created: str
    values: list[str]


class Kms(msgspec.Struct):
    """The secrets by their names."""

    secrets: dict[str, Secret] = {}


def show_secret(call: Call) -> dict[str, object]:
    """GetSecretValue: the newest value, or the one of a version or a stage that is asked for."""
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
