"""A run directory: its files, its identity, its log. No JAX."""
