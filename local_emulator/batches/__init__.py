"""Recorded batches to replay: what the stream delivered to the function, byte for byte."""
