"""Tunnel: rows in and out of tables in bulk, by upload, download, stream and upsert sessions."""
