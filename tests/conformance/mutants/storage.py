"""Mutants of datastores and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import attrs
import pytest

from hyperkit.backends.fake.volumes import FakeVolumes
from hyperkit.backends.fake.world import IMAGES
from hyperkit.driver import Driver
from hyperkit.errors import HyperkitError, NotFound
from hyperkit.records import DatastoreRecord, VolumeRecord, changed
from hyperkit.specs import VolumeSpec
from tests.conformance.mutants.kit import Call, layer, nothing, port, world


@port("test_a_datastores_free_space_is_at_most_its_capacity", "datastores.list")
def counts_free_space_in_kib(driver: Driver, call: Call) -> Sequence[DatastoreRecord]:
    return [changed(record, free=record.free // 1024) for record in call()]


@port("test_a_listed_datastore_equals_the_one_that_get_returns", "datastores.list")
def takes_every_datastore_for_a_directory_of_its_name(driver: Driver, call: Call) -> Sequence[DatastoreRecord]:
    return [changed(record, path=f"/{record.name}") for record in call()]


@port("test_a_datastore_id_that_does_not_exist_is_not_found", "datastores.get")
def takes_every_id_for_the_default_datastore(driver: Driver, call: Call, datastore_id: str) -> DatastoreRecord:
    return driver.datastores.list()[0]


@layer("test_a_vms_new_disk_is_among_the_volumes_of_its_datastore")
def reads_a_datastore_only_once(patch: pytest.MonkeyPatch) -> None:
    read = FakeVolumes.list
    cache: dict[str, Sequence[VolumeRecord]] = {}

    def from_the_cache(self: FakeVolumes, datastore_id: str) -> Sequence[VolumeRecord]:
        return cache.setdefault(datastore_id, read(self, datastore_id))

    patch.setattr(FakeVolumes, "list", from_the_cache)


@port("test_a_new_volume_has_the_name_size_and_format_asked_for", "volumes.create")
def makes_every_volume_in_the_default_format(driver: Driver, call: Call, datastore_id: str, spec: VolumeSpec) -> Any:
    return call(datastore_id, attrs.evolve(spec, format=None))


@port("test_a_volume_name_that_is_taken_is_already_exists", "volumes.create")
def overwrites_a_volume(driver: Driver, call: Call, datastore_id: str, spec: VolumeSpec) -> Any:
    world(driver).volumes.pop(f"{IMAGES}/{spec.name}", None)
    return call(datastore_id, spec)


@port("test_a_deleted_volume_is_gone", "volumes.delete")
def deletes_a_volume_that_is_not_there(driver: Driver, call: Call, volume_id: str) -> None:
    with suppress(NotFound):
        call(volume_id)


@layer("test_a_volume_that_a_vm_uses_is_not_deleted")
def deletes_a_volume_that_a_vm_uses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.datastore.check_unused", nothing)


@port("test_what_was_uploaded_comes_back_byte_for_byte", "volumes.upload")
def ends_an_upload_at_a_null_byte(
    driver: Driver, call: Call, datastore_id: str, name: str, source: BinaryIO, size: int
) -> VolumeRecord:
    record: VolumeRecord = call(datastore_id, name, source, size)
    volume = world(driver).volumes[record.path]
    volume.data = volume.data.partition(b"\0\xff")[0]
    return record


@port("test_an_upload_that_breaks_off_leaves_no_file", "volumes.upload")
def leaves_what_came_of_an_upload(
    driver: Driver, call: Call, datastore_id: str, name: str, source: BinaryIO, size: int
) -> Any:
    try:
        return call(datastore_id, name, source, size)
    except HyperkitError:
        world(driver).add_file(f"{IMAGES}/{name}", size)
        raise
