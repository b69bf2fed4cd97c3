"""access-monitor: says when an API key may use a gated model, and tells people the minute it may."""

__version__ = "0.1.0"
