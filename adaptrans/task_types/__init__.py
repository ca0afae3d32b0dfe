"""What a task asks of the model: one file per type."""
