"""What one connector needs in the cloud, looked at, planned, made, changed and removed."""
