"""One HTML page and its figures, from the files of a run. Imports no JAX."""
