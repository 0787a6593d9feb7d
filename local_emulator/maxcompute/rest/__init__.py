"""The REST side: projects, tables, partitions, instances and security, all under ``/api``."""
