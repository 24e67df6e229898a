"""Side-by-side measurements against peers, one question a file."""
