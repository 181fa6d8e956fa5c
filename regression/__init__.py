"""The proof that a new trainer is the old one: runs are recorded from outside, and compared."""
