"""The log of claims that decides which delivery writes a record: its operations, their fold, and its storage."""
