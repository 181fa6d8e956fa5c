"""Take a monolithic training script apart by a plan: codemods, gates, one transaction."""

__version__ = "0.1.0"
