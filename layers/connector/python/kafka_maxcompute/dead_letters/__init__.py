"""Dead letters: what they are, and how they are written into the error topics."""
