"""What is checked before anything of an artifact is loaded."""
