"""Kafka for the local cloud: an embedded broker, a real Apache Kafka, or the user's own."""
