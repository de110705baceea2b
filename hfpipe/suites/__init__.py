"""Many runs as one: every recipe of a suite with every combination of what it varies."""

from hfpipe.suites.running import SuiteDone, SuiteOptions, run_suite

__all__ = ["SuiteDone", "SuiteOptions", "run_suite"]
