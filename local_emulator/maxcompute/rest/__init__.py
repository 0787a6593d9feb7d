"""The REST API under ``/api``: projects, tables, partitions, instances and security."""
