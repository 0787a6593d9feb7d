"""The code that all services of the local cloud share: HTTP thread, clock, faults. It imports no service."""
