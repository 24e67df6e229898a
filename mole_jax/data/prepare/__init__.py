"""From a listed source to a dataset on disk."""
