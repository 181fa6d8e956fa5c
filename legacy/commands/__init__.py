"""One file a command: its options in `cli`, here what it does and prints. `run(arguments)` returns the exit status."""
