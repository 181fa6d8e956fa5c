"""Around a training run: its settings and where they come from, devices, loggers, checkpoints, what one sees meanwhile."""
