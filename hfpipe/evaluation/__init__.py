"""The evaluation record, predictions row by row, and the baselines beside them."""
