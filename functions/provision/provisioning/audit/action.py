"""The action `audit`: whether every record is in the table or in the error topic, once, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.errors import LedgerError
from provisioning import pending
from provisioning.audit.audit import Sources
from provisioning.audit.audit import audit as examine
from provisioning.audit.reply import as_json, state
from provisioning.resources.ledger import opened
from provisioning.resources.settings_record import SettingsRecord

if TYPE_CHECKING:
    from provisioning.cloud import Cloud


def audit(cloud: Cloud) -> dict[str, Any]:
    """Bring what is pending in the ledger to its end, then compare table, ledger, error topic and log.

    Every finding is a fault; so is a claim that can't be brought to its end, and a ledger that is lost: the others are
    compared without it then.
    """
    settings = cloud.request.settings
    recorded = SettingsRecord(cloud.request).look(cloud)
    sources = Sources(
        settings=settings,
        service=cloud.maxcompute,
        clients=cloud.clients,
        starts=recorded.starts if recorded else {},
    )
    if settings.delivery == "at-least-once":
        return as_json(examine(sources, cloud.deadline))
    with opened(cloud, settings) as (_, ledger):
        try:
            against = list(pending.bring_to_end(pending.services(cloud, ledger), cloud).values())
            reply = as_json(examine(replace(sources, ledger=ledger), cloud.deadline))
        except LedgerError as error:
            # Where a new ledger has to begin is told by what is in the table and the topics.
            against = [str(error)]
            reply = as_json(examine(sources, cloud.deadline))
    faults = [*against, *reply["faults"]]
    return {**reply, "state": state(faults, reply["doubts"]), "faults": faults}
