"""Intervals, resampling, seeds and means."""
