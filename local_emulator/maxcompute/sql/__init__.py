"""MaxCompute SQL: parsed with sqlglot, translated piece by piece to DuckDB's SQL; what has no translation is an error."""
