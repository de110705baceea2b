"""Inputs: columns of a dataset to the tensors of a batch, fitted on the train split only."""
