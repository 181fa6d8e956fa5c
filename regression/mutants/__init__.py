"""Seeded faults, and refactors that are none: what the comparison sees, and what it must not."""
