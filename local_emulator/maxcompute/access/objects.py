"""The kinds of objects, the actions that can be granted on them, and their names in messages and grants."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from local_emulator.maxcompute.entities import DEFAULT_SCHEMA, Project, Table

PROJECT, TABLE, INSTANCE = "project", "table", "instance"
ALL = "All"

# The actions that an ACL can grant, by kind of object, from the service's page "MaxCompute permissions".
ACTIONS = MappingProxyType(
    {
        PROJECT: (
            "Read",
            "Write",
            "List",
            "CreateTable",
            "CreateInstance",
            "CreateFunction",
            "CreateResource",
            ALL,
        ),
        TABLE: ("Describe", "Select", "Alter", "Update", "Drop", "ShowHistory", ALL),
        INSTANCE: ("Read", "Write", ALL),
    }
)


@dataclass(frozen=True, slots=True)
class Securable:
    """An object of a project on which actions can be granted; ``id`` stays if the object gets another name.

    ``owner`` is the name of the object's creator, who may do everything with the object.
    """

    project: str
    kind: str
    id: str
    path: str
    owner: str

    @property
    def resource(self) -> str:
        """The object's name in messages and policies."""
        return f"acs:odps:*:{self.path}"


def project_securable(project: Project) -> Securable:
    """Return the securable of a project."""
    return Securable(project.name, PROJECT, "", f"projects/{project.name}", project.owner)


def table_securable(table: Table) -> Securable:
    """Return the securable of a table; its path has the schema, unless this is the default one."""
    schema = "" if table.schema == DEFAULT_SCHEMA else f"schemas/{table.schema}/"
    path = f"projects/{table.project}/{schema}tables/{table.name}"
    return Securable(table.project, TABLE, table.id, path, table.owner)


def instance_securable(project: str, instance_id: str, owner: str) -> Securable:
    """Return the securable of an instance; ``owner`` submitted the job."""
    return Securable(project, INSTANCE, instance_id, f"projects/{project}/instances/{instance_id}", owner)


def find_action(kind: str, text: str) -> str | None:
    """Return the action of a name (in any case), as the service spells it; None if the kind has no such action."""
    return next((action for action in ACTIONS[kind] if action.lower() == text.lower()), None)
