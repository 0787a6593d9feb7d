"""The errors of a broker of the local cloud."""

from __future__ import annotations


class BrokerError(Exception):
    """A broker couldn't be started or reached, or refused a request."""


class ProduceError(Exception):
    """Records couldn't be sent to the broker, or the stream stopped delivering them."""
