"""Who may do what: users, roles and grants of a project, the statements that change them, and the check itself."""
