"""Hydra's configuration of a run."""
