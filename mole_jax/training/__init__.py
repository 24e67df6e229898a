"""State, steps, loop and checkpoints."""
