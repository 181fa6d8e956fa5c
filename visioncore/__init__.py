"""One network for many recording sessions of primary visual cortex: its stages, its data, its training."""
