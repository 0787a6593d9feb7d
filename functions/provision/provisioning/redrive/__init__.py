"""Dead letters go back to the source topic, each once."""
