"""From source images to batches: layouts, protocols, preprocessing, shards, loader."""
