"""Readers of the public file formats."""
