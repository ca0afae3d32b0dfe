"""Evaluation: predictions, scores, intervals, retrieval."""
