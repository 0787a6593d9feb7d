"""The resources of a connector, one file each."""
