"""Sweeps: which configurations, in which order, what became of them, and the one to choose; no JAX."""
