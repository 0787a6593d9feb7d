"""One call to a product of the cloud's control plane, and the permission that it needs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Style = Literal["query", "form", "path"]


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the cloud.

    `style` says where parameters go: into the query, into a form, or into the path with a body of JSON. `elsewhere` has
    the hosts of regions where it isn't `host`.
    """

    version: str
    host: str
    style: Style
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def host_in(self, region: str) -> str:
        """Where it is called."""
        return self.elsewhere.get(region) or self.host.format(region=region)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `permission` "" needs none; `resource` is what it's needed on, `path` that of a call of style path."""

    product: Product
    name: str
    permission: str = ""
    resource: str = ""
    method: str = "POST"
    path: str = "/"


def filled(pattern: str, names: Mapping[str, str]) -> str:
    """A resource's name; "*" stands for what isn't known."""
    return pattern.format_map(defaultdict(lambda: "*", {key: name for key, name in names.items() if name}))
