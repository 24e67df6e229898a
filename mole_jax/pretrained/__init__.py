"""ImageNet weights as Flax variables: one file a source format."""
