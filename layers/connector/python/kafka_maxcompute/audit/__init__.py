"""Whether every record is where it belongs: table, ledger, error topic and log, compared by topic-partition."""
