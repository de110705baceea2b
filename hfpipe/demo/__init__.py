"""Rows that the demo and the tests run on: WordNet glosses (see LICENSE-WORDNET)."""
