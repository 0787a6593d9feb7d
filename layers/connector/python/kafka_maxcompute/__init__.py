"""What the sink and the provisioning function share: settings, names, table shape, offsets, upload sessions, errors."""

__version__ = "0.2.0"
"""The release: the only place that has it. setup.py, layers/build.py and the local cloud read it here."""
