package main

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	on        = types.VirtualMachinePowerStatePoweredOn
	off       = types.VirtualMachinePowerStatePoweredOff
	suspended = types.VirtualMachinePowerStateSuspended
)

func init() {
	works["VirtualMachine.PowerOnVM_Task"] = powerOn
	works["VirtualMachine.PowerOffVM_Task"] = powerOff
	works["VirtualMachine.SuspendVM_Task"] = suspend
	works["VirtualMachine.ResetVM_Task"] = reset
}

// usable refuses a VM that the host cannot work with now, because of its connection or a question nobody answered.
func usable(vm *simulator.VirtualMachine) types.BaseMethodFault {
	if vm.Runtime.Question != nil {
		return &types.InvalidState{}
	}
	return connected(vm)
}

func connected(vm *simulator.VirtualMachine) types.BaseMethodFault {
	switch vm.Runtime.ConnectionState {
	case types.VirtualMachineConnectionStateConnected:
		return nil
	case types.VirtualMachineConnectionStateDisconnected:
		return &types.HostNotConnected{}
	}
	return &types.InvalidState{}
}

func wrongState(vm *simulator.VirtualMachine, wanted types.VirtualMachinePowerState) types.BaseMethodFault {
	return &types.InvalidPowerState{RequestedState: wanted, ExistingState: vm.Runtime.PowerState}
}

// ready is the VM of a power operation, which it must be in one of these states for.
func ready(c *call, wanted types.VirtualMachinePowerState, states ...types.VirtualMachinePowerState) (*simulator.VirtualMachine, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	check := usable
	if wanted == off {
		check = connected // which ends a question, too
	}
	if fault := check(vm); fault != nil {
		return nil, fault
	}
	for _, state := range states {
		if vm.Runtime.PowerState == state {
			return vm, nil
		}
	}
	return nil, wrongState(vm, wanted)
}

func powerOn(c *call) (types.AnyType, types.BaseMethodFault) {
	vm, fault := ready(c, on, off, suspended)
	if fault != nil {
		return nil, fault
	}
	if vm.Config.Template {
		return nil, &types.NotSupported{}
	}
	for _, disk := range disksOf(vm.Config.Hardware.Device) {
		for backing := flat(disk); backing != nil; backing = backing.Parent {
			if where, fault := located(backing.FileName); fault != nil || !where.exists() {
				return nil, notFound(where)
			}
			if backing == flat(disk) && locked(backing.FileName, vm) {
				return nil, &types.FileLocked{FileFault: types.FileFault{File: backing.FileName}}
			}
		}
	}
	c.sim.post(vm, &types.VmStartingEvent{}, &types.VmPoweredOnEvent{})
	c.sim.setPower(vm, on)
	return nil, nil
}

func powerOff(c *call) (types.AnyType, types.BaseMethodFault) {
	vm, fault := ready(c, off, on, suspended)
	if fault != nil {
		return nil, fault
	}
	c.sim.post(vm, &types.VmStoppingEvent{}, &types.VmPoweredOffEvent{})
	c.sim.setPower(vm, off)
	return nil, nil
}

func suspend(c *call) (types.AnyType, types.BaseMethodFault) {
	vm, fault := ready(c, suspended, on)
	if fault != nil {
		return nil, fault
	}
	c.sim.post(vm, &types.VmSuspendingEvent{}, &types.VmSuspendedEvent{})
	c.sim.setPower(vm, suspended)
	return nil, nil
}

func reset(c *call) (types.AnyType, types.BaseMethodFault) {
	vm, fault := ready(c, on, on)
	if fault != nil {
		return nil, fault
	}
	c.sim.post(vm, &types.VmResettingEvent{})
	c.sim.reboot(vm)
	return nil, nil
}

func (s *simulation) reboot(vm *simulator.VirtualMachine) {
	s.setPower(vm, off)
	s.setPower(vm, on)
}

// setPower brings a VM into a state, with all that shows it.
func (s *simulation) setPower(vm *simulator.VirtualMachine, state types.VirtualMachinePowerState) {
	before := vm.Runtime.PowerState
	vm.Runtime.PowerState = state
	now := time.Now().UTC()
	switch state {
	case on:
		if before != suspended {
			vm.Runtime.BootTime = &now
			s.boot(vm)
		}
		vm.Runtime.SuspendTime = nil
	case suspended:
		vm.Runtime.SuspendTime = &now
	default:
		vm.Runtime.BootTime, vm.Runtime.SuspendTime, vm.Runtime.Question = nil, nil, nil
	}
	settleCards(vm, state == on)
	s.settleGuest(vm)
	summary := vm.Runtime
	vm.Summary.Runtime = summary
}

// settleCards connects the cards that are to be at the start, and none while the VM is off.
func settleCards(vm *simulator.VirtualMachine, running bool) {
	devices := append([]types.BaseVirtualDevice(nil), vm.Config.Hardware.Device...)
	for i, device := range devices {
		d := device.GetVirtualDevice()
		if d.Connectable == nil || d.Connectable.Connected == (running && d.Connectable.StartConnected) {
			continue
		}
		changed := shallow(device)
		connect := *d.Connectable
		connect.Connected = running && connect.StartConnected
		changed.GetVirtualDevice().Connectable = &connect
		devices[i] = changed
	}
	vm.Config.Hardware.Device = devices
}
