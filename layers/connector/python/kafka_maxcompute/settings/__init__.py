"""A connector's settings: what they are, what they have to keep among one another, what may be named in them."""
