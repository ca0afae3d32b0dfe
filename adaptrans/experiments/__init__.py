"""Experiments: plan, engine, statistics, tables."""
