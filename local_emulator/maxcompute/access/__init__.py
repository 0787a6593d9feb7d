"""Access control: users, roles, grants and policies, the statements that change them, and the check of permissions."""
