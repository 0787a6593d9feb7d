"""One batch of Kafka events becomes committed rows of a MaxCompute table."""
