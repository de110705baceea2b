"""Recipes: one YAML a story; this folder is the registry."""
