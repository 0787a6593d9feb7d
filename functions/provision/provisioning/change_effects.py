"""What it means for rows, and for what is under way, that a setting of a live connector changes. Pure."""

from __future__ import annotations

_STAY = "rows that are written stay where they are"
_MEANINGS = {
    "instance_id": "records of the topic in {wanted} are written from now on; what isn't read of {found} yet won't be",
    "source_topic": "records of {wanted} are written from now on; what isn't read of {found} yet won't be",
    "project": f"rows land in project {{wanted}} from now on; {_STAY}, in {{found}}",
    "table": f"rows land in table {{wanted}} from now on; {_STAY}, in {{found}}",
    "partition": f"rows land in partition values of a {{wanted}} from now on; {_STAY}, in those of a {{found}}",
    "partition_names": f"partition values have {{wanted}} names from now on; {_STAY}, under the other names",
    "partition_column": "the table has to be one that is partitioned by {wanted}",
    "time_zone": f"partition values are told in {{wanted}} from now on; {_STAY}, so an hour can be under two names",
    "value_time_zone": f"times of CSV that name no zone are read in another zone from now on; {_STAY}",
    "mode": f"rows get other columns from now on; {_STAY}",
    "format": f"values are written as {{wanted}} from now on; {_STAY}",
    "value_type": "the stream has to deliver values as {wanted} before the first batch",
    "failure_policy": "it holds from the next batch on",
    "group": (
        "the stream reads as {wanted} from now on, from where that group has come to or else from consumer_offset; "
        "what {found} has read comes again unless start says where to begin"
    ),
    "offset_topic": (
        "the ledger in {wanted} begins again; it doesn't know what is written, so what comes again is written again"
    ),
    "config_topic": "the settings are kept in {wanted} from now on",
    "status_topic": "states are told in {wanted} from now on; those in {found} stay as they are",
    "error_topic": "records that can't be written go to {wanted} from now on; those in {found} stay there",
    "dead_letter_topic": "events that can't be read go to {wanted} from now on; those in {found} stay there",
    "role": "the function has to run as {wanted}, which gets the grants; {found} keeps its own",
}
_DELIVERY = {
    "exactly-once": (
        "batches under way while this is applied may be written twice; from then on each record is written once"
    ),
    "at-least-once": (
        "a batch that comes again is written again from now on; what is written meanwhile isn't in the ledger, so when "
        "going back to exactly-once reset it to where the group has come to"
    ),
}


def meaning(setting: str, found: object, wanted: object) -> str:
    """In a sentence, "" where nothing is to be known."""
    if setting == "delivery":
        return _DELIVERY.get(str(wanted), "")
    return _MEANINGS.get(setting, "").format(found=found, wanted=wanted)
