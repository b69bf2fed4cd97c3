"""Puts it together: scheduler, signals, the run of one monitor."""
