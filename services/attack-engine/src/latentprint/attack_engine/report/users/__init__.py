"""How the report shows audits of users."""
