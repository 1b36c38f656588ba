package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func revertToCurrentSnapshot(c *call) (types.AnyType, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil || vm.Snapshot == nil || vm.Snapshot.CurrentSnapshot == nil {
		return nil, &types.NotFound{}
	}
	return nil, c.sim.revert(vm, *vm.Snapshot.CurrentSnapshot, isTrue(c.body.(*types.RevertToCurrentSnapshot_Task).SuppressPowerOn))
}

func revertToSnapshot(c *call) (types.AnyType, types.BaseMethodFault) {
	snapshot, ok := simulator.Map.Get(c.this).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	vm := machine(snapshot.Vm)
	return nil, c.sim.revert(vm, c.this, isTrue(c.body.(*types.RevertToSnapshot_Task).SuppressPowerOn))
}

// revert gives a VM back the configuration, the disks and the power state of a snapshot. It keeps its name.
func (s *simulation) revert(vm *simulator.VirtualMachine, to types.ManagedObjectReference, off bool) types.BaseMethodFault {
	if fault := usable(vm); fault != nil {
		return fault
	}
	snapshot := simulator.Map.Get(to).(*simulator.VirtualMachineSnapshot)
	node, _ := findNode(vm, to)
	config := &types.VirtualMachineConfigInfo{}
	copied(&snapshot.Config, config)
	devices, fault := continued(vm, config.Hardware.Device)
	if fault != nil {
		return fault
	}
	left := disksOf(vm.Config.Hardware.Device)
	config.Name = vm.Config.Name
	config.Hardware.Device = nil
	vm.Config = config
	settleDevices(vm, devices)
	for _, disk := range left {
		dropDeltas(disk)
	}
	vm.Summary.Config.NumCpu, vm.Summary.Config.MemorySizeMB = config.Hardware.NumCPU, config.Hardware.MemoryMB
	vm.Snapshot.CurrentSnapshot = &snapshot.Self
	state := node.State
	if off {
		state = types.VirtualMachinePowerStatePoweredOff
	}
	s.setPower(vm, state)
	if boot, ok := s.behind(vm).resumes[to]; ok && !off {
		s.behind(vm).boot = boot
	}
	touch(vm)
	return nil
}

func removeSnapshot(c *call) (types.AnyType, types.BaseMethodFault) {
	snapshot, ok := simulator.Map.Get(c.this).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	vm := machine(snapshot.Vm)
	node, parent := findNode(vm, c.this)
	children := node.ChildSnapshotList
	gone := map[types.ManagedObjectReference]bool{c.this: true}
	if c.body.(*types.RemoveSnapshot_Task).RemoveChildren {
		walkTree(children, nil, func(child, _ *types.VirtualMachineSnapshotTree) { gone[child.Snapshot] = true })
		children = nil
	}
	var above *types.ManagedObjectReference
	siblings := vm.Snapshot.RootSnapshotList
	if parent != nil {
		ref := parent.Snapshot
		above, siblings = &ref, parent.ChildSnapshotList
	}
	var kept tree
	for _, sibling := range siblings {
		if sibling.Snapshot == c.this {
			kept = append(kept, children...)
		} else {
			kept = append(kept, sibling)
		}
	}
	info := *vm.Snapshot
	if parent != nil {
		parent.ChildSnapshotList = kept
	} else {
		info.RootSnapshotList = kept
	}
	if info.CurrentSnapshot != nil && gone[*info.CurrentSnapshot] {
		info.CurrentSnapshot = above
	}
	settleSnapshots(vm, &info)
	c.sim.forget(vm, gone)
	return nil, nil
}

func removeAllSnapshots(c *call) (types.AnyType, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	gone := map[types.ManagedObjectReference]bool{}
	for _, snapshot := range snapshotsOf(vm) {
		gone[snapshot.Self] = true
	}
	settleSnapshots(vm, nil)
	c.sim.forget(vm, gone)
	return nil, nil
}

// forget removes snapshots that are in the tree no more, with the disk files that nothing needs any longer.
func (s *simulation) forget(vm *simulator.VirtualMachine, gone map[types.ManagedObjectReference]bool) {
	var disks []*types.VirtualDisk
	for ref := range gone {
		snapshot := simulator.Map.Get(ref).(*simulator.VirtualMachineSnapshot)
		disks = append(disks, disksOf(snapshot.Config.Hardware.Device)...)
		simulator.Map.Remove(ref)
	}
	for _, snapshot := range snapshotsOf(vm) {
		var kept []types.ManagedObjectReference
		if node, _ := findNode(vm, snapshot.Self); node != nil {
			for _, child := range node.ChildSnapshotList {
				kept = append(kept, child.Snapshot)
			}
		}
		snapshot.ChildSnapshot = kept
	}
	if s.behind(vm).failConsolidation {
		vm.Runtime.ConsolidationNeeded = types.NewBool(true)
		vm.Summary.Runtime.ConsolidationNeeded = vm.Runtime.ConsolidationNeeded
	} else {
		merge(vm)
	}
	for _, disk := range disks {
		deleteChain(disk)
	}
	touch(vm)
}

func consolidate(c *call) (types.AnyType, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	c.sim.behind(vm).failConsolidation = false
	merge(vm)
	vm.Runtime.ConsolidationNeeded = types.NewBool(false)
	vm.Summary.Runtime.ConsolidationNeeded = vm.Runtime.ConsolidationNeeded
	touch(vm)
	return nil, nil
}

// merge takes the files out of the disks' chains that no snapshot needs: each is merged into the one it continues.
func merge(vm *simulator.VirtualMachine) {
	needed := map[string]bool{}
	snapshots := snapshotsOf(vm)
	for _, snapshot := range snapshots {
		for _, disk := range disksOf(snapshot.Config.Hardware.Device) {
			needed[flat(disk).FileName] = true
		}
	}
	for _, other := range allMachines() { // linked clones
		if other != vm {
			for _, disk := range disksOf(other.Config.Hardware.Device) {
				for backing := flat(disk).Parent; backing != nil; backing = backing.Parent {
					needed[backing.FileName] = true
				}
			}
		}
	}
	vm.Config.Hardware.Device = merged(vm.Config.Hardware.Device, needed)
	for _, snapshot := range snapshots {
		snapshot.Config.Hardware.Device = merged(snapshot.Config.Hardware.Device, needed)
	}
}

func merged(devices []types.BaseVirtualDevice, needed map[string]bool) []types.BaseVirtualDevice {
	result := append([]types.BaseVirtualDevice(nil), devices...)
	for i, device := range devices {
		disk, ok := device.(*types.VirtualDisk)
		if !ok || flat(disk) == nil || flat(disk).Parent == nil {
			continue
		}
		shorter := *disk
		shorter.Backing = shortened(flat(disk), needed, needed[flat(disk).FileName])
		result[i] = &shorter
	}
	return result
}

// shortened is a chain without what nobody needs. The data of a file left out are those of the one below it from then
// on, which is why, of several in a row that only this chain needs, the lowest stays.
func shortened(top *types.VirtualDiskFlatVer2BackingInfo, needed map[string]bool, keep bool) *types.VirtualDiskFlatVer2BackingInfo {
	if top.Parent == nil {
		return top
	}
	below := shortened(top.Parent, needed, needed[top.Parent.FileName])
	if !keep && !needed[top.Parent.FileName] {
		dropFile(top.FileName)
		return below
	}
	result := *top
	result.Parent = below
	reparent(result.FileName, below.FileName)
	return &result
}

func dropFile(name string) {
	if where, fault := located(name); fault == nil {
		_ = deleteVMDK(where)
	}
}

func reparent(name, parent string) {
	where, fault := located(name)
	if d, ok := readVMDK(where); fault == nil && ok && d.parent != parent {
		d.parent = parent
		_ = d.write(where)
	}
}
