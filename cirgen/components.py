"""Connected components of a graph whose edges arrive in any order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MERGE_EDGES = 1_000_000  # pairs held before they are folded into the components


class Components:
    """Connected components of nodes 0..n-1 under edges that arrive in any order."""

    def __init__(self, count: int) -> None:
        self._labels: NDArray[np.int64] = np.arange(count)
        self._waiting: list[NDArray[np.int64]] = []
        self._edges = 0

    def apart(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pairs are not yet known to be in one component, bool [len(left)]."""
        return np.not_equal(self._labels[left], self._labels[right])

    def join(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """Add edges between left[i] and right[i]."""
        self._waiting.append(np.stack((left, right)))
        self._edges += len(left)
        if self._edges >= _MERGE_EDGES:
            self._fold()

    def smallest(self) -> NDArray[np.int64]:
        """Return for each node the smallest node of its component, int64 [n]."""
        self._fold()
        return self._labels

    def _fold(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count = len(self._labels)
        nodes = np.arange(count)
        left, right = np.concatenate((np.stack((nodes, self._labels)), *self._waiting), axis=1)
        graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(count, count))
        _, component = connected_components(graph, directed=False)
        first = np.full(count, count)
        np.minimum.at(first, component, nodes)
        self._labels = first[component]
        self._waiting, self._edges = [], 0
