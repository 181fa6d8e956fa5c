"""Records a run from outside: hooks that are in place before the script's first line."""
