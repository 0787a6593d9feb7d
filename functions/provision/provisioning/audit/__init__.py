"""The audit: whether every record is in the table or in the error topic, once."""
