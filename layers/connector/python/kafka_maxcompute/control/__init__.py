"""The cloud's control plane: signed calls, and the secrets that KMS keeps."""
