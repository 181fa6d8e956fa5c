"""Judges two traces: the same, or where they part, in order of cause."""
