"""Kafka: clients of the brokers, what is read from topics and appended to them."""
