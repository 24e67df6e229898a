"""Pretrained networks: each network beside the names that its weights have elsewhere."""
