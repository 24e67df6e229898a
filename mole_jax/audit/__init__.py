"""What is wrong with a dataset: leaks between its splits, shortcuts to its labels, duplicates. Reads, never writes."""
