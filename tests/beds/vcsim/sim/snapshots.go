package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	works["VirtualMachine.CreateSnapshot_Task"] = createSnapshot
	works["VirtualMachineSnapshot.RevertToSnapshot_Task"] = revertToSnapshot
	works["VirtualMachine.RevertToCurrentSnapshot_Task"] = revertToCurrentSnapshot
	works["VirtualMachineSnapshot.RemoveSnapshot_Task"] = removeSnapshot
	works["VirtualMachine.RemoveAllSnapshots_Task"] = removeAllSnapshots
	works["VirtualMachine.ConsolidateVMDisks_Task"] = consolidate
	answers["VirtualMachineSnapshot.RenameSnapshot"] = renameSnapshot
}

type tree = []types.VirtualMachineSnapshotTree

// walkTree visits every snapshot, parents first.
func walkTree(nodes tree, parent *types.VirtualMachineSnapshotTree, visit func(node, parent *types.VirtualMachineSnapshotTree)) {
	for i := range nodes {
		visit(&nodes[i], parent)
		walkTree(nodes[i].ChildSnapshotList, &nodes[i], visit)
	}
}

func findNode(vm *simulator.VirtualMachine, ref types.ManagedObjectReference) (found, above *types.VirtualMachineSnapshotTree) {
	if vm.Snapshot != nil {
		walkTree(vm.Snapshot.RootSnapshotList, nil, func(node, parent *types.VirtualMachineSnapshotTree) {
			if node.Snapshot == ref {
				found, above = node, parent
			}
		})
	}
	return found, above
}

func snapshotsOf(vm *simulator.VirtualMachine) []*simulator.VirtualMachineSnapshot {
	var found []*simulator.VirtualMachineSnapshot
	if vm.Snapshot != nil {
		walkTree(vm.Snapshot.RootSnapshotList, nil, func(node, _ *types.VirtualMachineSnapshotTree) {
			if snapshot, ok := simulator.Map.Get(node.Snapshot).(*simulator.VirtualMachineSnapshot); ok {
				found = append(found, snapshot)
			}
		})
	}
	return found
}

func snapshotFile(vm *simulator.VirtualMachine, snapshot *simulator.VirtualMachineSnapshot) string {
	node, _ := findNode(vm, snapshot.Self)
	vmx := vm.Config.Files.VmPathName
	return fmt.Sprintf("%s-Snapshot%d.vmsn", strings.TrimSuffix(vmx, ".vmx"), node.Id)
}

func createSnapshot(c *call) (types.AnyType, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	if fault := usable(vm); fault != nil {
		return nil, fault
	}
	request := c.body.(*types.CreateSnapshot_Task)
	on := vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
	behind := c.sim.behind(vm)
	if request.Name == "" {
		return nil, &types.InvalidName{}
	}
	if request.Quiesce && on && !request.Memory && !toolsRun(vm) {
		return nil, &types.ApplicationQuiesceFault{}
	}
	if vm.Config.Template {
		return nil, &types.NotSupported{}
	}
	snapshot := &simulator.VirtualMachineSnapshot{}
	snapshot.Vm = vm.Self
	copied(vm.Config, &snapshot.Config)
	devices, fault := continued(vm, vm.Config.Hardware.Device)
	if fault != nil {
		return nil, fault
	}
	simulator.Map.Put(snapshot)
	behind.lastSnapshot++
	node := types.VirtualMachineSnapshotTree{
		Snapshot: snapshot.Self, Vm: vm.Self, Name: request.Name, Description: request.Description,
		Id: behind.lastSnapshot, CreateTime: time.Now().UTC(), Quiesced: request.Quiesce,
		State: types.VirtualMachinePowerStatePoweredOff, ReplaySupported: types.NewBool(false),
	}
	if on && request.Memory || vm.Runtime.PowerState == types.VirtualMachinePowerStateSuspended {
		node.State = vm.Runtime.PowerState // only then is there a state to come back to
		behind.resumes[snapshot.Self] = behind.boot
	}
	info := &types.VirtualMachineSnapshotInfo{CurrentSnapshot: &snapshot.Self}
	if vm.Snapshot != nil {
		info.RootSnapshotList = vm.Snapshot.RootSnapshotList
	}
	var parent *types.VirtualMachineSnapshotTree
	if vm.Snapshot != nil && vm.Snapshot.CurrentSnapshot != nil {
		parent, _ = findNode(vm, *vm.Snapshot.CurrentSnapshot)
	}
	if parent != nil {
		parent.ChildSnapshotList = append(parent.ChildSnapshotList, node)
		above := simulator.Map.Get(parent.Snapshot).(*simulator.VirtualMachineSnapshot)
		above.ChildSnapshot = append(above.ChildSnapshot, snapshot.Self)
	} else {
		info.RootSnapshotList = append(info.RootSnapshotList, node)
	}
	settleSnapshots(vm, info)
	settleDevices(vm, devices)
	touch(vm)
	return snapshot.Self, nil
}

func settleSnapshots(vm *simulator.VirtualMachine, info *types.VirtualMachineSnapshotInfo) {
	vm.RootSnapshot = nil
	if info == nil || len(info.RootSnapshotList) == 0 {
		vm.Snapshot = nil
		return
	}
	vm.Snapshot = info
	for _, node := range info.RootSnapshotList {
		vm.RootSnapshot = append(vm.RootSnapshot, node.Snapshot)
	}
}

// continued is these devices, each disk going on in a new file that continues the one it had.
func continued(vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice) ([]types.BaseVirtualDevice, types.BaseMethodFault) {
	result := append([]types.BaseVirtualDevice(nil), devices...)
	for i, device := range devices {
		disk, ok := device.(*types.VirtualDisk)
		if !ok || flat(disk) == nil || strings.HasPrefix(flat(disk).DiskMode, "independent") {
			continue
		}
		base, fault := located(flat(disk).FileName)
		if fault != nil {
			return nil, fault
		}
		d, ok := readVMDK(base)
		if !ok {
			return nil, notFound(base)
		}
		next := nextDelta(base)
		if fault := (vmdk{capacity: d.capacity, thin: true, uuid: d.uuid, parent: base.String()}).create(next); fault != nil {
			return nil, fault
		}
		moved := *disk
		moved.Backing = chain(next, flat(disk).DiskMode)
		result[i] = &moved
	}
	return result, nil
}

// nextDelta is the first free one of disk-000001.vmdk, disk-000002.vmdk ...
func nextDelta(base file) file {
	stem := strings.TrimSuffix(path.Base(base.Path), ".vmdk")
	if i := strings.LastIndex(stem, "-"); i > 0 && len(stem)-i == 7 && strings.Trim(stem[i+1:], "0123456789") == "" {
		stem = stem[:i]
	}
	for i := 1; ; i++ {
		if next := base.beside(fmt.Sprintf("%s-%06d.vmdk", stem, i)); !next.taken() {
			return next
		}
	}
}

// emptyDescription tells an empty description from none, which leaves it as it is.
var emptyDescription = regexp.MustCompile(`<description[^>]*(/>|></description>)`)

func renameSnapshot(c *call) (interface{}, types.BaseMethodFault) {
	snapshot, ok := simulator.Map.Get(c.this).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	request := c.body.(*types.RenameSnapshot)
	node, _ := findNode(machine(snapshot.Vm), c.this)
	if request.Name != "" {
		node.Name = request.Name
	}
	if request.Description != "" || emptyDescription.Match(c.raw) {
		node.Description = request.Description
	}
	return &types.RenameSnapshotResponse{}, nil
}
