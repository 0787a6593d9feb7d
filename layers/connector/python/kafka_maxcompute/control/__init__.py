"""The cloud's control plane: signed calls, and the secrets in KMS."""
