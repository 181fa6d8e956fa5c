"""
A small stand-in for the lab's private package, for tests only.

It has the names that the old training script imports, synthetic sessions held in memory, and a tiny
network with the stages of the real one.
"""
