"""Recorded runs of the old trainer, by device."""
