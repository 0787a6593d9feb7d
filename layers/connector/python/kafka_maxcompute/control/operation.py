"""Describes the calls to products of the cloud's control plane, and the permissions that they need."""

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

    `style` says where parameters go: into the query, into a form, or, with a body of JSON, into the path. Parameters
    that the path doesn't name go into the query. `elsewhere` has the hosts of regions with another host than `host`.
    """

    version: str
    host: str
    style: Style
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def host_in(self, region: str) -> str:
        """Return the product's host in a region."""
        return self.elsewhere.get(region) or self.host.format(region=region)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call; it needs `permission` ("" for none) on `resource`. `path` is for products of the style path."""

    product: Product
    name: str
    permission: str = ""
    resource: str = ""
    method: str = "POST"
    path: str = "/"


def filled(pattern: str, names: Mapping[str, str]) -> str:
    """Return a resource's name; "*" stands for unknown parts."""
    return pattern.format_map(defaultdict(lambda: "*", {key: name for key, name in names.items() if name}))
