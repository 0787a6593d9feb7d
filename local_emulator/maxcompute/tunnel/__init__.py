"""Tunnel: upload, download, stream and upsert sessions, which move many rows into and out of tables."""
