"""Backbones, setup expressions, adapters and heads."""
