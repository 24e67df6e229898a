"""Whole experiments: one run, a sweep, an external validation, the reproduction."""
