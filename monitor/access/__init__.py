"""The domain, pure: words, states, diagnosis, cadence. No clock, no network, no database."""
