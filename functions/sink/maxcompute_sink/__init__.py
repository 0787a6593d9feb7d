"""Writes a batch of Kafka events as committed rows of a MaxCompute table."""
