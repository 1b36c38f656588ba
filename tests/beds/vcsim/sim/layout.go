package main

import (
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// settleLayout lists a VM's files and what they take, as they are now.
func settleLayout(vm *simulator.VirtualMachine) {
	layout := &types.VirtualMachineFileLayoutEx{Timestamp: time.Now()}
	add := func(name, kind string, size int64) int32 {
		for _, known := range layout.File {
			if known.Name == name {
				return known.Key
			}
		}
		key := int32(len(layout.File))
		layout.File = append(layout.File, types.VirtualMachineFileLayoutExFileInfo{
			Key: key, Name: name, Type: kind, Size: size, UniqueSize: size, Accessible: types.NewBool(true),
		})
		return key
	}
	addOthers(vm, add)
	var disks, provisioned int64
	addDisk := func(backing *types.VirtualDiskFlatVer2BackingInfo) (keys []int32) {
		where, fault := located(backing.FileName)
		d, ok := readVMDK(where)
		if fault != nil || !ok {
			return nil
		}
		before := len(layout.File)
		descriptor := add(backing.FileName, "diskDescriptor", sector)
		extent := add(where.beside(d.extent).String(), "diskExtent", d.used(where))
		if len(layout.File) > before {
			disks += d.used(where)
		}
		return []int32{descriptor, extent}
	}
	entries := func(devices []types.BaseVirtualDevice) (found []types.VirtualMachineFileLayoutExDiskLayout) {
		for _, disk := range disksOf(devices) {
			var units []types.VirtualMachineFileLayoutExDiskUnit
			for backing := flat(disk); backing != nil; backing = backing.Parent {
				unit := types.VirtualMachineFileLayoutExDiskUnit{FileKey: addDisk(backing)}
				units = append([]types.VirtualMachineFileLayoutExDiskUnit{unit}, units...) // the base first
			}
			found = append(found, types.VirtualMachineFileLayoutExDiskLayout{Key: disk.Key, Chain: units})
		}
		return found
	}
	layout.Disk = entries(vm.Config.Hardware.Device)
	for _, disk := range disksOf(vm.Config.Hardware.Device) {
		provisioned += disk.CapacityInBytes
	}
	for _, snapshot := range snapshotsOf(vm) {
		layout.Snapshot = append(layout.Snapshot, types.VirtualMachineFileLayoutExSnapshotLayout{
			Key: snapshot.Self, DataKey: add(snapshotFile(vm, snapshot), "snapshotData", 0), MemoryKey: -1,
			Disk: entries(snapshot.Config.Hardware.Device),
		})
	}
	vm.LayoutEx = layout
	vm.Summary.Storage = &types.VirtualMachineStorageSummary{
		Committed: disks, Uncommitted: provisioned - disks, Unshared: disks, Timestamp: layout.Timestamp,
	}
	if vm.Summary.Storage.Uncommitted < 0 {
		vm.Summary.Storage.Uncommitted = 0
	}
}

// addOthers adds the files beside the VM's .vmx that are no disks.
func addOthers(vm *simulator.VirtualMachine, add func(name, kind string, size int64) int32) {
	vmx, fault := located(vm.Config.Files.VmPathName)
	if fault != nil {
		return
	}
	kinds := map[string]string{".vmx": "config", ".nvram": "nvram", ".log": "log", ".vmsd": "snapshotList"}
	entries, _ := os.ReadDir(filepath.Dir(vmx.real))
	for _, entry := range entries {
		info, err := entry.Info()
		if kind := kinds[path.Ext(entry.Name())]; kind != "" && err == nil {
			add(vmx.beside(entry.Name()).String(), kind, info.Size())
		}
	}
}
