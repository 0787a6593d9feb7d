"""Dead letters: their form, and the writing into the error topics."""
