"""For PYTHONPATH: with this folder on it, Python starts with `legacy.install()` done, and old module paths import."""
