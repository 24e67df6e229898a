"""Pretrained networks, and the names that their weights have in other libraries."""
