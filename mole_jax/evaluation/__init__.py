"""From prediction files of any framework to figures with intervals. Imports no JAX."""
