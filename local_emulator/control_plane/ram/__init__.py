"""RAM: roles, policies, service-linked roles, and users (without actions of their own)."""
