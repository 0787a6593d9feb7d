"""A project's security parameters, which switch the kinds of permissions on and off."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.access.relation import StoredRelation
from local_emulator.maxcompute.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.maxcompute.database import Database

USES_ACL = "CheckPermissionUsingAcl"
USES_POLICY = "CheckPermissionUsingPolicy"
LABELS = "LabelSecurity"
MAKERS_ACCESS = "ObjectCreatorHasAccessPermission"
MAKERS_GRANT = "ObjectCreatorHasGrantPermission"
# From the service's page "Security parameters". Labels have no effect: no column and no user has one.
DEFAULTS: Mapping[str, bool] = MappingProxyType(
    {USES_ACL: True, USES_POLICY: True, LABELS: False, MAKERS_ACCESS: True, MAKERS_GRANT: True}
)


class Configurations:
    """The parameters of all projects; only values that differ from the defaults are stored."""

    def __init__(self, database: Database) -> None:
        self._changed = StoredRelation(database, "security_parameters", ["project", "parameter"])

    def is_on(self, project: str, parameter: str) -> bool:
        """Return the value of a parameter of `DEFAULTS`."""
        return DEFAULTS[parameter] != ((project, parameter) in self._changed)

    def write(self, project: str, values: Mapping[str, bool]) -> None:
        """Set some parameters; ServiceError InvalidArgument for a parameter that isn't emulated."""
        unknown = sorted(set(values) - set(DEFAULTS))
        if unknown:
            raise invalid(f"the security parameter {', '.join(unknown)} is not emulated; {', '.join(DEFAULTS)} are")
        rows = {(project, parameter): value != DEFAULTS[parameter] for parameter, value in values.items()}
        self._changed.change(
            add=[row for row, changed in rows.items() if changed],
            remove=[row for row, changed in rows.items() if not changed],
        )
