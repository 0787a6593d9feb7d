"""A local cloud to try the package on one computer: Kafka, EventBridge's stream, Function Compute and MaxCompute."""
