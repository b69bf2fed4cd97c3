"""Which event goes to which channel, the messages, and their delivery."""
