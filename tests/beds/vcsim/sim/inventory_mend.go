package main

import (
	"os"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const datastoreCapacity = int64(1) << 40

// prepareInventory mends what the library made.
func (s *simulation) prepareInventory() {
	for _, entity := range simulator.Map.All("Datastore") {
		datastore := entity.(*simulator.Datastore)
		datastore.Summary.Capacity = datastoreCapacity
		setFree(datastore, datastoreCapacity)
	}
	mendNetworks()
	addAutostart()
	s.logEvents()
	for _, vm := range allMachines() {
		s.mendMachine(vm)
	}
}

// mendMachine gives a VM that the library made files, devices and a guest as ours have.
func (s *simulation) mendMachine(vm *simulator.VirtualMachine) {
	state := vm.Runtime.PowerState
	vm.Runtime.PowerState = off
	vm.Config.Hardware.MemoryMB, vm.Summary.Config.MemorySizeMB = 1024, 1024
	vm.Config.ExtraConfig = nil
	e := s.edit(vm)
	var mended []types.BaseVirtualDevice
	for _, device := range e.devices {
		copy := shallow(device)
		switch d := copy.(type) {
		case *types.VirtualDisk:
			mendDisk(e, d)
		case types.BaseVirtualEthernetCard:
			card := d.GetVirtualEthernetCard()
			card.MacAddress = ""
			must(asError(e.address(invalidDevice{}, card)))
		}
		mended = append(mended, copy)
	}
	settleDevices(vm, mended)
	s.vms[vm.Self] = newBackstage()
	s.setPower(vm, state)
	touch(vm)
}

// mendDisk replaces the library's empty files.
func mendDisk(e *editor, disk *types.VirtualDisk) {
	backing := *flat(disk)
	disk.Backing = &backing
	where, fault := located(backing.FileName)
	must(asError(fault))
	for _, name := range []string{"disk1.vmdk", "disk1-flat.vmdk"} {
		_ = os.Remove(where.beside(name).real)
	}
	must(asError(vmdk{capacity: disk.CapacityInKB * 1024, thin: true}.create(where)))
	e.report(disk, &backing, where)
}

type faultError struct{ fault types.BaseMethodFault }

func (f faultError) Error() string { return message(f.fault) }

func asError(fault types.BaseMethodFault) error {
	if fault == nil {
		return nil
	}
	return faultError{fault}
}
