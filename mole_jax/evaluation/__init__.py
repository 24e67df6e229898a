"""From prediction files of any framework to estimates with intervals. Imports no JAX."""
