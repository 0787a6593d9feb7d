"""What the sink and the provisioning function share: settings, names, table shape, offsets, upload sessions, errors."""
