"""What all services of the local cloud stand on; knows none of them."""
