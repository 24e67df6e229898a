"""Figures and one HTML page about run directories. Imports no JAX and no model code."""
