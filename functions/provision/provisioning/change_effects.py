"""What the change of a live connector's setting means for rows, and for batches that are being delivered. Pure."""

from __future__ import annotations

_STAY = "rows that are written stay where they are"
_MEANINGS = {
    "instance_id": (
        "records of the topic in {wanted} are written from now on; records in {applied} that aren't read yet won't be"
    ),
    "source_topic": ("records of {wanted} are written from now on; records of {applied} that aren't read yet won't be"),
    "project": f"rows land in project {{wanted}} from now on; {_STAY}, in {{applied}}",
    "table": f"rows land in table {{wanted}} from now on; {_STAY}, in {{applied}}",
    "partition": f"rows land in partition values by {{wanted}} from now on; {_STAY}, in values by {{applied}}",
    "partition_names": f"partition values have {{wanted}} names from now on; {_STAY}, under the other names",
    "partition_column": "the table has to be partitioned by {wanted}",
    "time_zone": f"partition values are times in {{wanted}} from now on; {_STAY}, so an hour can have two names",
    "value_time_zone": f"CSV times without a zone are read in another zone from now on; {_STAY}",
    "mode": f"rows get other columns from now on; {_STAY}",
    "format": f"values are written as {{wanted}} from now on; {_STAY}",
    "value_type": "the stream has to deliver values as {wanted} before the first batch",
    "failure_policy": "the new policy applies from the next batch on",
    "group": (
        "the stream reads as group {wanted} from now on, from that group's committed offsets or else from "
        "consumer_offset; records that {applied} has read are delivered again unless start says where to begin"
    ),
    "offset_topic": (
        "the ledger in {wanted} begins empty; it doesn't know the written records, so a record that is delivered again "
        "is written again"
    ),
    "config_topic": "the settings are kept in {wanted} from now on",
    "status_topic": "states are written to {wanted} from now on; those in {applied} stay as they are",
    "error_topic": "records that can't be written go to {wanted} from now on; dead letters in {applied} stay there",
    "dead_letter_topic": "events that can't be read go to {wanted} from now on; dead letters in {applied} stay there",
    "role": "the function has to run as {wanted}, which gets the grants; {applied} keeps its own",
}
_DELIVERY = {
    "exactly-once": (
        "batches that are delivered during the apply may be written twice; from then on each record is written once"
    ),
    "at-least-once": (
        "a batch that is delivered again is written again from now on; the ledger doesn't get these records, so before "
        "going back to exactly-once reset it to the group's committed offsets"
    ),
}


def meaning(setting: str, applied: object, wanted: object) -> str:
    """Return what the change means, "" if it means nothing for rows; `applied` is the setting's value until now."""
    if setting == "delivery":
        return _DELIVERY.get(str(wanted), "")
    return _MEANINGS.get(setting, "").format(applied=applied, wanted=wanted)
