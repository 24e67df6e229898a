"""Mole or melanoma in JAX: data, models, training, evaluation and report, each usable on its own."""
