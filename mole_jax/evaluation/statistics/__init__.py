"""Counts, groups, intervals and tests, with no knowledge of models or files."""
