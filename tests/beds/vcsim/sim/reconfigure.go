package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	works["VirtualMachine.ReconfigVM_Task"] = reconfigure
}

func reconfigure(c *call) (types.AnyType, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	if fault := usable(vm); fault != nil {
		return nil, fault
	}
	spec := &c.body.(*types.ReconfigVM_Task).Spec
	if spec.ChangeVersion != "" && spec.ChangeVersion != vm.Config.ChangeVersion {
		return nil, &types.ConcurrentAccess{}
	}
	if vm.Config.Template && changesHardware(spec) {
		return nil, &types.NotSupported{}
	}
	if fault := checkHardware(vm, spec); fault != nil {
		return nil, fault
	}
	if spec.Name != "" {
		if fault := rename(vm, spec.Name); fault != nil {
			return nil, fault
		}
		spec.Name = ""
	}
	if fault := c.sim.reconfigureDevices(vm, spec.DeviceChange); fault != nil {
		return nil, fault
	}
	setExtraConfig(vm, spec.ExtraConfig)
	vm.Config.CpuAllocation = allocated(vm.Config.CpuAllocation, spec.CpuAllocation)
	vm.Config.MemoryAllocation = allocated(vm.Config.MemoryAllocation, spec.MemoryAllocation)
	if bytes.Contains(c.raw, []byte("<annotation></annotation>")) || bytes.Contains(c.raw, []byte("<annotation/>")) {
		vm.Config.Annotation = "" // an empty one is one, a missing one is not
	}
	spec.DeviceChange, spec.ExtraConfig, spec.CpuAllocation, spec.MemoryAllocation = nil, nil, nil, nil
	if spec.BootOptions != nil {
		spec.BootOptions = bootOptions(vm.Config.BootOptions, spec.BootOptions)
	}
	spec.Flags = flags(vm, spec.Flags)
	_, fault := c.task()
	touch(vm)
	return nil, fault
}

// touch says that a VM's configuration is another one now.
func touch(vm *simulator.VirtualMachine) {
	now := time.Now().UTC()
	vm.Config.Modified = now
	vm.Config.ChangeVersion = now.Format(time.RFC3339Nano)
	vm.Summary.Config.Annotation = vm.Config.Annotation
	settleLayout(vm)
}

func changesHardware(spec *types.VirtualMachineConfigSpec) bool {
	return len(spec.DeviceChange) > 0 || spec.NumCPUs != 0 || spec.MemoryMB != 0 || spec.Firmware != ""
}

const mostCPUs = 128

// checkHardware refuses what a VM can have never, or not while it runs.
func checkHardware(vm *simulator.VirtualMachine, spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	hardware := &vm.Config.Hardware
	running := vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff
	argument := func(name string) types.BaseMethodFault {
		return &types.InvalidArgument{InvalidProperty: "configSpec." + name}
	}
	state := &types.InvalidPowerState{
		RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: vm.Runtime.PowerState,
	}
	if fault := checkSizes(spec, hardware); fault != nil {
		return fault
	}
	if spec.GuestId != "" && !knownGuest(spec.GuestId) {
		return argument("guestId")
	}
	if !running {
		return nil
	}
	if spec.NumCPUs != 0 && spec.NumCPUs != hardware.NumCPU &&
		!(isTrue(vm.Config.CpuHotAddEnabled) && spec.NumCPUs > hardware.NumCPU) &&
		!(isTrue(vm.Config.CpuHotRemoveEnabled) && spec.NumCPUs < hardware.NumCPU) {
		return &types.CpuHotPlugNotSupported{}
	}
	if spec.MemoryMB != 0 && int32(spec.MemoryMB) != hardware.MemoryMB &&
		!(isTrue(vm.Config.MemoryHotAddEnabled) && int32(spec.MemoryMB) > hardware.MemoryMB) {
		return &types.MemoryHotPlugNotSupported{}
	}
	differs := func(wanted, present *bool) bool { return wanted != nil && *wanted != isTrue(present) }
	switch {
	case spec.NumCoresPerSocket != 0 && spec.NumCoresPerSocket != hardware.NumCoresPerSocket,
		spec.Firmware != "" && spec.Firmware != vm.Config.Firmware,
		spec.GuestId != "" && spec.GuestId != vm.Config.GuestId,
		differs(spec.CpuHotAddEnabled, vm.Config.CpuHotAddEnabled),
		differs(spec.CpuHotRemoveEnabled, vm.Config.CpuHotRemoveEnabled),
		differs(spec.MemoryHotAddEnabled, vm.Config.MemoryHotAddEnabled),
		differs(spec.NestedHVEnabled, vm.Config.NestedHVEnabled):
		return state
	}
	return nil
}

func checkSizes(spec *types.VirtualMachineConfigSpec, present *types.VirtualHardware) types.BaseMethodFault {
	argument := func(name string) types.BaseMethodFault {
		return &types.InvalidArgument{InvalidProperty: "configSpec." + name}
	}
	cpus, cores, memory := present.NumCPU, present.NumCoresPerSocket, int64(present.MemoryMB)
	if spec.NumCPUs != 0 {
		cpus = spec.NumCPUs
	}
	if spec.NumCoresPerSocket != 0 {
		cores = spec.NumCoresPerSocket
	}
	if spec.MemoryMB != 0 {
		memory = spec.MemoryMB
	}
	switch {
	case cpus < 0 || cpus > mostCPUs:
		return argument("numCPUs")
	case spec.NumCPUs|spec.NumCoresPerSocket != 0 && cores > 0 && cpus%cores != 0:
		return argument("numCoresPerSocket")
	case memory < 0 || spec.MemoryMB%4 != 0:
		return argument("memoryMB")
	}
	for name, a := range map[string]*types.ResourceAllocationInfo{
		"cpuAllocation": spec.CpuAllocation, "memoryAllocation": spec.MemoryAllocation,
	} {
		if a == nil {
			continue
		}
		reservation, limit := int64(0), int64(-1)
		if a.Reservation != nil {
			reservation = *a.Reservation
		}
		if a.Limit != nil {
			limit = *a.Limit
		}
		if reservation < 0 || limit < -1 || (limit >= 0 && limit < reservation) ||
			(name == "memoryAllocation" && reservation > memory) {
			return argument(name)
		}
	}
	return nil
}

func knownGuest(id string) bool {
	for _, known := range simulator.GuestID {
		if string(known) == id {
			return true
		}
	}
	return false
}

// allocated is what stands after a change that may leave fields out.
func allocated(present, change *types.ResourceAllocationInfo) *types.ResourceAllocationInfo {
	if change == nil {
		return present
	}
	result := *present
	if change.Reservation != nil {
		result.Reservation = change.Reservation
	}
	if change.Limit != nil {
		result.Limit = change.Limit
	}
	if change.ExpandableReservation != nil {
		result.ExpandableReservation = change.ExpandableReservation
	}
	if change.Shares != nil {
		result.Shares = change.Shares
	}
	return &result
}

func bootOptions(present, change *types.VirtualMachineBootOptions) *types.VirtualMachineBootOptions {
	result := *change
	if present == nil {
		return &result
	}
	if result.BootOrder == nil {
		result.BootOrder = present.BootOrder
	}
	if result.EfiSecureBootEnabled == nil {
		result.EfiSecureBootEnabled = present.EfiSecureBootEnabled
	}
	if result.EnterBIOSSetup == nil {
		result.EnterBIOSSetup = present.EnterBIOSSetup
	}
	return &result
}

// flags would be taken over whole by the library, with what was not named unset.
func flags(vm *simulator.VirtualMachine, change *types.VirtualMachineFlagInfo) *types.VirtualMachineFlagInfo {
	if change == nil {
		return nil
	}
	result := vm.Config.Flags
	if change.VbsEnabled != nil {
		result.VbsEnabled = change.VbsEnabled
	}
	if change.VvtdEnabled != nil {
		result.VvtdEnabled = change.VvtdEnabled
	}
	if change.DiskUuidEnabled != nil {
		result.DiskUuidEnabled = change.DiskUuidEnabled
	}
	if change.EnableLogging != nil {
		result.EnableLogging = change.EnableLogging
	}
	return &result
}

// setExtraConfig sets options by key; an empty value removes one.
func setExtraConfig(vm *simulator.VirtualMachine, changes []types.BaseOptionValue) {
	for _, change := range changes {
		wanted := change.GetOptionValue()
		var kept []types.BaseOptionValue
		for _, option := range vm.Config.ExtraConfig {
			if !strings.EqualFold(option.GetOptionValue().Key, wanted.Key) {
				kept = append(kept, option)
			}
		}
		if text := fmt.Sprint(wanted.Value); wanted.Value != nil && text != "" {
			kept = append(kept, &types.OptionValue{Key: wanted.Key, Value: text}) // stored as text, whatever it was
		}
		vm.Config.ExtraConfig = kept
	}
}

func (s *simulation) reconfigureDevices(vm *simulator.VirtualMachine, changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	e := s.edit(vm)
	if fault := e.apply(changes); fault != nil {
		return fault
	}
	settleDevices(vm, e.devices)
	for _, do := range e.commit {
		do()
	}
	return nil
}

// settleDevices gives a VM its devices, and says so wherever vSphere does.
func settleDevices(vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice) {
	var cards, disks int32
	var networks []types.ManagedObjectReference
	seen := map[types.ManagedObjectReference]bool{}
	for _, device := range devices {
		switch d := device.(type) {
		case *types.VirtualDisk:
			disks++
		case types.BaseVirtualEthernetCard:
			cards++
			if ref := networkOf(d); ref != nil && !seen[*ref] {
				seen[*ref] = true
				networks = append(networks, *ref)
			}
		}
	}
	for _, ref := range vm.Network {
		if !seen[ref] {
			leaveNetwork(ref, vm.Self)
		}
	}
	for _, ref := range networks {
		joinNetwork(ref, vm.Self)
	}
	vm.Network = networks
	vm.Summary.Config.NumEthernetCards, vm.Summary.Config.NumVirtualDisks = cards, disks
	vm.Config.Hardware.Device = devices
}
