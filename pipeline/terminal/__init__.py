"""What commands share at a terminal: a session, the live line, tables, errors."""
