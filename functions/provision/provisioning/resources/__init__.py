"""The resources of a connector, one file each, in the order in which they are made."""
