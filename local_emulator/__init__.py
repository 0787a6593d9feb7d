"""A small cloud on a laptop: Kafka, EventBridge's stream, Function Compute and MaxCompute, to try the package on."""
