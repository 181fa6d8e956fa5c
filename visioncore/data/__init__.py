"""Sessions: on disk, in memory, and as batches."""
