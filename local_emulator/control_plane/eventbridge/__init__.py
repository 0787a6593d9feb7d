"""EventBridge 2020-04-01: event streams from Kafka to functions; the streams run in this process."""
