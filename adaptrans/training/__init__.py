"""Training: one loop for every phase."""
