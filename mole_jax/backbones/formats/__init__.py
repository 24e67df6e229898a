"""Weight files: one file a format."""
