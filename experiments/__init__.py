"""The commands. Flags are defined here and nowhere else."""
