"""Setup expressions."""
