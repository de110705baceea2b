"""Metrics: pure functions over arrays, each with its direction."""
