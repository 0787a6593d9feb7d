"""The audit: checks that the table or the error topic has every record, once."""
