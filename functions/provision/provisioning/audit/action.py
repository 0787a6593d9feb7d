"""The action `audit`: checks that each record is once in the table or the error topic, and no other record is."""

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
    """Complete the ledger's pending claims, then compare table, ledger, error topic and log; return the reply.

    Each finding except `unclear` is a fault. A claim that can't be completed and a lost ledger are faults, too. If the
    ledger is lost, the other sources are compared without the ledger.
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
            ledger_faults = list(pending.complete(pending.services(cloud, ledger), cloud).values())
            reply = as_json(examine(replace(sources, ledger=ledger), cloud.deadline))
        except LedgerError as error:
            # Still compare table and topics: the result shows where a new ledger has to begin.
            ledger_faults = [str(error)]
            reply = as_json(examine(sources, cloud.deadline))
    faults = [*ledger_faults, *reply["faults"]]
    return {**reply, "state": state(faults, reply["doubts"]), "faults": faults}
