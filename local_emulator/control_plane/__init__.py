"""The cloud's control APIs on one port, for Alibaba Cloud's own SDKs: RAM, STS, Resource Manager and others."""
