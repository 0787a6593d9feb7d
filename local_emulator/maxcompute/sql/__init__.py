"""MaxCompute SQL: parsed with sqlglot, translated piece by piece to DuckDB's; what has no translation is an error."""
