"""Raw rows to a dataset repo: read, clean, balance, split, publish."""
