"""Reads secrets from Alibaba Cloud's Key Management Service (KMS) by their names.

Request and answer are those of the official SDK (alibabacloud_kms20160120 3.3.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute.control.operation import Operation, Product
from kafka_maxcompute.errors import RefusedError

if TYPE_CHECKING:
    from kafka_maxcompute.control.control_plane import ControlPlane

GET_SECRET_VALUE = Operation(
    Product("2016-01-20", "kms.{region}.aliyuncs.com", "query"),
    "GetSecretValue",
    "kms:GetSecretValue",
    "acs:kms:{region}:{account}:secret/{secret}",
)


def secret_name(reference: str) -> str:
    """Return the secret's name from a reference `kms:NAME`; "" if the reference is empty or of another kind."""
    kind, _, name = reference.partition(":")
    return name if kind == "kms" else ""


def secret(name: str, control: ControlPlane) -> str:
    """Return the current value of a secret.

    Raises `RefusedError` if the value isn't text or is empty, and the errors of `ControlPlane.call`.
    """
    answer = control.knowing(secret=name).call(GET_SECRET_VALUE, {"SecretName": name})
    kind, value = str(answer.get("SecretDataType", "text")), answer.get("SecretData")
    if kind != "text" or not isinstance(value, str) or not value:
        fault = f"expected the secret {name} to be text, found {kind if kind != 'text' else 'none'}"
        raise RefusedError(f"{fault}; store the password itself as a generic secret of text", code="WrongSecret")
    return value
