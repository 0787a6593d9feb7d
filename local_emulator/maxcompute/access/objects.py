"""What can be granted: the kinds of objects, the actions on each, and how messages and grants name an object."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from local_emulator.maxcompute.entities import DEFAULT_SCHEMA, Project, Table

PROJECT, TABLE, INSTANCE = "project", "table", "instance"
ALL = "All"

# The service's page "MaxCompute permissions": what its ACL can grant, by kind of object.
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
    """An object of a project that actions are allowed on; ``id`` outlives a new name, and ends with the object.

    ``owner`` is the name of who made it, and may do everything with it.
    """

    project: str
    kind: str
    id: str
    path: str
    owner: str

    @property
    def resource(self) -> str:
        """How messages and policies name it."""
        return f"acs:odps:*:{self.path}"


def of_project(project: Project) -> Securable:
    """A project as a whole."""
    return Securable(project.name, PROJECT, "", f"projects/{project.name}", project.owner)


def of_table(table: Table) -> Securable:
    """A table; one of another schema than the default one is named with it."""
    schema = "" if table.schema == DEFAULT_SCHEMA else f"schemas/{table.schema}/"
    path = f"projects/{table.project}/{schema}tables/{table.name}"
    return Securable(table.project, TABLE, table.id, path, table.owner)


def of_instance(project: str, instance_id: str, owner: str) -> Securable:
    """A job that somebody submitted."""
    return Securable(project, INSTANCE, instance_id, f"projects/{project}/instances/{instance_id}", owner)


def action_named(kind: str, text: str) -> str | None:
    """The action of that name in any case of letters, as the service spells it; None if the kind hasn't got it."""
    return next((action for action in ACTIONS[kind] if action.lower() == text.lower()), None)
