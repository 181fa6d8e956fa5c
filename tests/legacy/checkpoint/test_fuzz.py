"""Bytes changed at random: the fuzzers of `fuzz/`, as many cases as the suite has time for."""

from fuzz.test_checkpoints import *  # noqa: F403
