"""RAM: roles, policies, service-linked roles, and users as far as somebody has to call."""
