"""A trained classifier as a value: opened from a run, it scores photographs."""
