"""Training: the stock Trainer, set up well."""
