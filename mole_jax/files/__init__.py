"""Files: read and written whole, locked, replaced, digested; the only room that knows how."""
