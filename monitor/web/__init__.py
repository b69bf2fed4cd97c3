"""The page and the API: a process of its own beside the daemon, which reads the database and knows no key."""
