"""EventBridge's event stream: Kafka records in, batches of CloudEvents out to a function."""
