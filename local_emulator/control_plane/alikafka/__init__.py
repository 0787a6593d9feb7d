"""AliKafka 2019-09-16: Kafka instances with their topics and groups, which exist in the local broker."""
