"""Which event goes to whom, the messages, and their delivery."""
