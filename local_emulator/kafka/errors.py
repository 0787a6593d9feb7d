"""What goes wrong with a broker of the local cloud."""

from __future__ import annotations


class BrokerError(Exception):
    """A broker couldn't be started or reached, or refused what it was asked for."""


class ProduceError(Exception):
    """Records couldn't be handed to the broker, or the stream stopped taking them."""
