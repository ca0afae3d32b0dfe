"""Trained runs as folders for other tools."""
