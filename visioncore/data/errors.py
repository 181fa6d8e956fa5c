"""What is wrong with a recording, as a sentence."""

from __future__ import annotations


class DataError(ValueError):
    """A session that nothing can be trained on: which file, what was found, what was expected, what to do."""
