"""What a model looks at: pictures of its weights."""
