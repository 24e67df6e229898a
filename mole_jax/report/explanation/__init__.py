"""What a run's scores rest on, as far as it can be believed."""
