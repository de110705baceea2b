"""The engine that works on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from data_prep.options import PrepareOptions
from data_prep.ray.connecting import connected
from data_prep.ray.counting import RayTerms
from data_prep.ray.failing import cluster_errors
from data_prep.ray.joining import Lots
from data_prep.ray.lots import Plan, Room, make_lots
from data_prep.ray.nodes import check_files
from data_prep.ray.reading import RayBatches, ReadJob, read_all
from data_prep.ray.settling import any_earlier, clusters, kept_earlier
from data_prep.ray.weighing import Selection, document_frequencies, postings
from data_prep.reading import Worked
from data_prep.rowwise import RowPlan
from hfpipe.rows.sources import Source

if TYPE_CHECKING:
    from data_prep.corpus import Corpus

POLICIES = {"any": any_earlier, "kept": kept_earlier}
#: Lots for each core of the cluster, where there are terms enough: one may take longer.
LOTS_A_CORE = 4


@contextmanager
def ray_engine(name: str) -> Iterator[RayEngine]:
    """Work on a cluster.

    Args:
        name: See :func:`data_prep.ray.connecting.connected`.

    Raises:
        UserError: See there.
    """
    with connected(name):
        yield RayEngine()


class RayEngine:
    """Rows are read and compared by Ray Data's tasks; this process keeps facts of the rows.

    Attributes:
        batches: The rows.
        counter: Their terms.
        room: How much a task shall hold when rows are compared.
    """

    def __init__(self, room: Room | None = None) -> None:
        """In the cluster that this process is connected to."""
        self.batches = RayBatches()
        self.counter = RayTerms(self.batches)
        self.room = room or Room()

    def worked(
        self,
        sources: Sequence[Source],
        plans: Sequence[RowPlan],
        advance: Callable[[int], None],
    ) -> Iterator[Worked]:
        """See :class:`data_prep.reading.Engine`."""
        with cluster_errors():
            check_files(sources)
            yield from read_all(ReadJob(sources, plans), self.batches, advance)

    def near_duplicates(
        self,
        corpus: Corpus,
        kept: np.ndarray,
        options: PrepareOptions,
        advance: Callable[[int], None],
    ) -> np.ndarray:
        """See :class:`data_prep.reading.Engine`."""
        pinned = corpus.pinned[kept] >= 0 if corpus.pinned is not None else None
        always = np.zeros(len(kept), dtype=bool) if pinned is None else pinned
        with cluster_errors():
            lots = self._lots(kept, options.threshold)
            return POLICIES[options.policy](lots, len(kept), always, advance)

    def near_clusters(self, corpus: Corpus, kept: np.ndarray, threshold: float) -> np.ndarray:
        """See :class:`data_prep.reading.Engine`."""
        with cluster_errors():
            return clusters(self._lots(kept, threshold), len(kept))

    def _lots(self, kept: np.ndarray, threshold: float) -> Lots:
        """Bring the rows together that may be similar."""
        import ray

        selection = ray.put(Selection.of(kept, self.batches))
        vocabulary = document_frequencies(self.batches, selection, len(kept))
        given = {
            "selection": selection,
            "vocabulary": ray.put(vocabulary),
            "threshold": threshold,
        }
        rows, entries = postings(self.batches, vocabulary, given)
        cores = int(ray.cluster_resources().get("CPU", 1))
        plan = Plan.of(rows, entries, self.room, LOTS_A_CORE * cores)
        return Lots(make_lots(self.batches, plan, given), threshold)
