"""The audit: checks that each record is once in the table or the error topic."""
