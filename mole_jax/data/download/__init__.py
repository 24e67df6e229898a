"""Data sets from their publishers: fetched, checked, unpacked."""
