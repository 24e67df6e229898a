"""Drawings, one kind a file."""
