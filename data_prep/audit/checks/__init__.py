"""The checks of the audit: the folder is the registry.

A check is a module with ``TITLE`` (its heading), ``ORDER`` (its place among checks of the same
verdict), ``check(given) -> finding`` and, where there is something to look at,
``plots(numbers) -> list of Markup``.
"""
