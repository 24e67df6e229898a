"""Which images show the same lesion, judged by their pixels alone. No JAX."""
