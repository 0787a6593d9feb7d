"""Deploying template.yml: the variables it reads, the layers' versions, and the commands behind `make deploy`."""
