"""Translations found in two collections of sentences."""
