"""Function Compute 3.0's control API (2023-03-30): the deployed functions, and their triggers."""
