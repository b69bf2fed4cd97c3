"""Asking by hand, without a daemon: check, diagnose, evidence, and what that costs."""
