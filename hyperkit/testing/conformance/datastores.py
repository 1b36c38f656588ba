"""Datastores, and the files in them."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest

from hyperkit.errors import AlreadyExists, Busy, HyperkitError, NotFound
from hyperkit.specs import DiskFormat, DiskSpec
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.units import MiB


@behaviour("datastores.list", "A datastore's free space is at most its capacity, both in bytes.")
def test_a_datastores_free_space_is_at_most_its_capacity(bed: Bed) -> None:
    stores = bed.host.datastores.list()
    assert stores
    for store in stores:
        assert store.capacity == bed.backdoor.capacity(store.name)
        # Free in another unit than bytes would be less than a thousandth of it.
        assert store.capacity // 1000 < store.free <= store.capacity


@behaviour("datastores.list", "A listed datastore equals the one that get returns.")
def test_a_listed_datastore_equals_the_one_that_get_returns(bed: Bed) -> None:
    stores = bed.host.datastores.list()
    assert len({store.id for store in stores}) == len(stores)
    for store in stores:
        assert store.record == bed.second.datastores.get(store.id).record


@behaviour("datastores.get", "A datastore id that does not exist is NotFound.")
def test_a_datastore_id_that_does_not_exist_is_not_found(bed: Bed) -> None:
    for datastore_id in ("no-such-datastore", "11111111-2222-4333-8444-555555555555"):
        with pytest.raises(NotFound):
            bed.host.datastores.get(datastore_id)


@behaviour("volumes.list", "A VM's new disk is among the volumes of its datastore.", requires=("disks",))
def test_a_vms_new_disk_is_among_the_volumes_of_its_datastore(bed: Bed) -> None:
    before = {volume.path for volume in bed.store.volumes}
    disk = bed.vm(disks=[DiskSpec(size=16 * MiB, datastore=bed.store.name)]).disks[0]
    new = [volume for volume in bed.store.volumes if volume.path not in before]
    assert disk.path in bed.backdoor.files()
    assert [(volume.path, volume.size) for volume in new] == [(disk.path, 16 * MiB)]
    assert new[0].record.datastore_id == bed.store.id


@behaviour(
    "volumes.create",
    "A new volume has the name, size and format asked for, and can be attached by its path.",
    requires=("disks", "volumes"),
)
def test_a_new_volume_has_the_name_size_and_format_asked_for(bed: Bed) -> None:
    kind = DiskFormat(bed.host.capabilities.disk_formats[-1])
    name = bed.name_for("volume")
    volume = bed.store.volumes.create(name, 16 * MiB, format=kind)
    assert (volume.name, volume.size, volume.record.format) == (name, 16 * MiB, kind)
    assert volume.path in bed.backdoor.files()
    assert bed.backdoor.disk_size(volume.path) == 16 * MiB
    disk = bed.seen(bed.vm(disks=[DiskSpec(path=volume.path)])).disks[0]
    assert (disk.path, disk.size, disk.record.format) == (volume.path, 16 * MiB, kind)


@behaviour(
    "volumes.create",
    "A volume name that is taken is AlreadyExists, and the volume that has it stays as it was.",
    requires=("volumes",),
)
def test_a_volume_name_that_is_taken_is_already_exists(bed: Bed) -> None:
    volume = bed.store.volumes.create(bed.name_for("volume"), 16 * MiB)
    files = bed.backdoor.files()
    with pytest.raises(AlreadyExists):
        bed.store.volumes.create(volume.name, 8 * MiB)
    assert bed.backdoor.files() == files
    assert bed.backdoor.disk_size(volume.path) == 16 * MiB


@behaviour("volumes.delete", "A deleted volume is gone, and deleting it again is NotFound.", requires=("volumes",))
def test_a_deleted_volume_is_gone(bed: Bed) -> None:
    volume = bed.store.volumes.create(bed.name_for("volume"), 8 * MiB)
    volume.delete()
    assert volume.path not in bed.backdoor.files()
    with pytest.raises(NotFound):
        volume.delete()


@behaviour(
    "volumes.delete",
    "A volume that a VM uses is not deleted: Busy, and the error names the VM.",
    requires=("disks", "volumes"),
)
def test_a_volume_that_a_vm_uses_is_not_deleted(bed: Bed) -> None:
    volume = bed.store.volumes.create(bed.name_for("volume"), 8 * MiB)
    vm = bed.vm(disks=[DiskSpec(path=volume.path)])
    with pytest.raises(Busy, match=vm.name):
        volume.delete()
    assert volume.path in bed.backdoor.files()


@behaviour("volumes.upload", "What was uploaded comes back byte for byte.", requires=("transfer",))
def test_what_was_uploaded_comes_back_byte_for_byte(bed: Bed) -> None:
    # More than a block and not a multiple of one, with every byte there is.
    data = bytes(range(256)) * 2048 + b"\0\xffodd end"
    volume = bed.store.volumes.upload(io.BytesIO(data + b"not this"), bed.name_for("upload"), size=len(data))
    assert volume.path in bed.backdoor.files()
    with tempfile.TemporaryDirectory() as directory:
        back = volume.download(Path(directory) / "back")
        assert back.read_bytes() == data


@behaviour("volumes.upload", "An upload that breaks off leaves no file.", requires=("transfer",))
def test_an_upload_that_breaks_off_leaves_no_file(bed: Bed) -> None:
    files = bed.backdoor.files()
    with pytest.raises(HyperkitError):
        bed.store.volumes.upload(io.BytesIO(b"x" * 100_000), bed.name_for("upload"), size=200_000)
    assert bed.backdoor.files() == files
