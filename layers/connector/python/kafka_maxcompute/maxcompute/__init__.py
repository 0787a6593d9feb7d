"""MaxCompute: requests, SQL, the table, upload sessions."""
