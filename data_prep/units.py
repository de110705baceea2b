"""What must not be divided among splits: rows of one group, near-duplicates of one cluster."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def joined_units(*codes: np.ndarray) -> np.ndarray:
    """Join the rows that share a code in any of the arrays, directly or through other rows.

    Args:
        codes: Arrays (rows,) of whole numbers; -1 is a row that shares nothing.

    Returns:
        The unit of each row, (rows,) int64: the position of the unit's first row.

    >>> authors = np.array([7, 8, 7, -1, -1])
    >>> clusters = np.array([0, 1, 2, 1, 4])
    >>> joined_units(authors, clusters).tolist()
    [0, 1, 0, 1, 4]
    """
    rows = len(codes[0])
    # A graph of rows and codes; each row stands beside each of its codes.
    edges: list[tuple[np.ndarray, np.ndarray]] = []
    nodes = rows
    for each in codes:
        sharing = np.flatnonzero(each >= 0)
        values, dense = np.unique(each[sharing], return_inverse=True)
        edges.append((sharing, nodes + dense))
        nodes += len(values)
    start = np.concatenate([edge[0] for edge in edges])
    end = np.concatenate([edge[1] for edge in edges])
    graph = coo_array((np.ones(len(start), dtype=np.int8), (start, end)), shape=(nodes, nodes))
    component = connected_components(graph.tocsr(), directed=False)[1][:rows]
    _, first, unit = np.unique(component, return_index=True, return_inverse=True)
    return first[unit].astype(np.int64)
