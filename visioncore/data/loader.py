"""A DataLoader whose workers are threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader


class ThreadedLoader(DataLoader[Any]):
    """Batches by `dataset.__getitems__`, `prefetch_factor` a worker ahead, in the sampler's order.

    Gathering is a copy, and copies do not hold Python's lock: threads do it side by side, without a second copy from process to process,
    without starting anything, and with the sessions in memory once. They last as long as the loader.
    """

    _threads: ThreadPoolExecutor | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return self._prefetched() if self.num_workers else super().__iter__()

    def check_worker_number_rationality(self) -> None:
        """torch warns of more processes than cores; these are threads."""

    def _prefetched(self) -> Iterator[Any]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.num_workers, thread_name_prefix="loader")
        assert self.batch_sampler is not None
        batches = iter(self.batch_sampler)
        ahead = self.num_workers * (self.prefetch_factor or 2)
        pending: deque[Future[Any]] = deque(
            self._threads.submit(self._batch, batch) for batch in islice(batches, ahead)
        )
        try:
            while pending:
                done = pending.popleft().result()
                pending.extend(self._threads.submit(self._batch, batch) for batch in islice(batches, 1))
                yield done
                del done  # or its memory would be held while the next one is waited for
        finally:
            for future in pending:
                future.cancel()

    def _batch(self, indices: list[int]) -> Any:
        return self.collate_fn(self.dataset.__getitems__(indices))  # type: ignore[attr-defined]
