"""What codemods and gates share: sources, names, imports, references, duplicates, comments."""
