"""Examples to batches: cached encodings and batches of like lengths."""
