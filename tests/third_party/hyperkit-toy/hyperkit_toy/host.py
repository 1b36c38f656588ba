"""A toy's facts."""

from __future__ import annotations

import os

from hyperkit.records import HostRecord, HypervisorType
from hyperkit_toy.store import Store


class ToyHost:
    """See `hyperkit.driver.HostPort`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def info(self) -> HostRecord:
        return HostRecord(
            id=self._store.identity,
            name=self._store.root.name,
            product="Toy",
            version="1",
            hypervisor_type=HypervisorType.HOSTED,
            cpus=os.cpu_count() or 1,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        )
