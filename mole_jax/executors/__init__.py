"""Where jobs run: child processes here, or on other machines. Knows nothing of sweeps and imports no JAX."""
