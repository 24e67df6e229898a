"""What a model looks at: weight pictures."""
