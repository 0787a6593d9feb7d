"""Sends dead letters to the source topic again, each once."""
