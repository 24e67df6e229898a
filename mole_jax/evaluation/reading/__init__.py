"""Tables of scores as programs and people write them: files, columns, numbers, labels. Knows nothing of statistics."""
