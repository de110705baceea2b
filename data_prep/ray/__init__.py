"""``--engine ray``: the same work on a Ray cluster, with the same result."""
