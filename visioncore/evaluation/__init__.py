"""How good a trained network is, cell by cell: bits per spike, correlation, explained variance; a table and pictures of it."""
