"""Where a run is told besides its folder: W&B, and whatever ``training.report_to`` names."""

from hfpipe.tracking.evaluation import log_curves, log_evaluation
from hfpipe.tracking.lineage import Repo, log_lineage
from hfpipe.tracking.runs import tracking
from hfpipe.tracking.trackers import log_to

__all__ = ["Repo", "log_curves", "log_evaluation", "log_lineage", "log_to", "tracking"]
