"""Models: one file a wrapper; stock classes wherever one can represent the model."""
