"""hfpipe: labelled rows to a dataset, a fine-tuned model and an honest evaluation, on a Hub."""

from hfpipe.version import __version__

__all__ = ["__version__"]
