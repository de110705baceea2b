"""Pages and cards that people read: the HTML report, the model card and the dataset card."""
