"""Refusals disguised as successes, and real successes: what they must and must not be taken for."""
