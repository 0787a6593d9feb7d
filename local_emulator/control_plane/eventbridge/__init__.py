"""EventBridge 2020-04-01: event streams from Kafka to functions, which really run."""
