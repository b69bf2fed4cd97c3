"""What is logged: one line per event, in order, without secrets."""
