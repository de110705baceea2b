"""Benchmarks: one module each; the folder is the registry. ``python -m benchmarks`` runs them.

A benchmark is a module with a docstring, whose first line says what is measured and what the
target is, and a function ``run(args) -> dict``: names to figures, and ``passed`` (True, False, or
None where no target is set). What is compared is measured in one run, in turn, so that the ratio
means something on a busy machine.
"""
