"""A project's security parameters: which ways of allowing count."""

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
# The service's page "Security parameters". Labels make no difference here: no column and no user has one.
DEFAULTS: Mapping[str, bool] = MappingProxyType(
    {USES_ACL: True, USES_POLICY: True, LABELS: False, MAKERS_ACCESS: True, MAKERS_GRANT: True}
)


class Configurations:
    """All projects' parameters; those that differ from the defaults are kept."""

    def __init__(self, database: Database) -> None:
        self._changed = StoredRelation(database, "security_parameters", ["project", "parameter"])

    def is_on(self, project: str, parameter: str) -> bool:
        """What one of `DEFAULTS` is set to."""
        return DEFAULTS[parameter] != ((project, parameter) in self._changed)

    def write(self, project: str, given: Mapping[str, bool]) -> None:
        """Set parameters, the others stay; ServiceError InvalidArgument for one that isn't emulated."""
        unknown = sorted(set(given) - set(DEFAULTS))
        if unknown:
            raise invalid(f"the security parameter {', '.join(unknown)} is not emulated; {', '.join(DEFAULTS)} are")
        rows = {(project, parameter): value != DEFAULTS[parameter] for parameter, value in given.items()}
        self._changed.change(
            add=[row for row, changed in rows.items() if changed],
            remove=[row for row, changed in rows.items() if not changed],
        )
