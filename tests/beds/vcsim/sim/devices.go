package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// editor changes the devices of a VM: all changes of a call, or none.
type editor struct {
	sim     *simulation
	vm      *simulator.VirtualMachine
	devices []types.BaseVirtualDevice
	renamed map[int32]int32 // keys that the caller made up, and those that the devices got
	undo    []func()
	commit  []func()
}

func (s *simulation) edit(vm *simulator.VirtualMachine) *editor {
	devices := append([]types.BaseVirtualDevice(nil), vm.Config.Hardware.Device...)
	return &editor{sim: s, vm: vm, devices: devices, renamed: map[int32]int32{}}
}

func (e *editor) running() bool {
	return e.vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff
}

// apply carries out changes. Where it fails, nothing has changed.
func (e *editor) apply(changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	for i, change := range changes {
		if fault := e.change(int32(i), change.GetVirtualDeviceConfigSpec()); fault != nil {
			e.rollBack()
			return fault
		}
	}
	return nil
}

func (e *editor) rollBack() {
	for i := len(e.undo) - 1; i >= 0; i-- {
		e.undo[i]()
	}
}

func (e *editor) change(index int32, spec *types.VirtualDeviceConfigSpec) types.BaseMethodFault {
	device := spec.Device.GetVirtualDevice()
	if key, ok := e.renamed[device.ControllerKey]; ok && device.ControllerKey != 0 {
		device.ControllerKey = key
	}
	bad := invalidDevice{index}
	switch spec.Operation {
	case types.VirtualDeviceConfigSpecOperationAdd:
		return e.add(bad, spec)
	case types.VirtualDeviceConfigSpecOperationEdit:
		return e.alter(bad, spec)
	case types.VirtualDeviceConfigSpecOperationRemove:
		return e.remove(bad, spec)
	}
	return bad.spec("operation")
}

// invalidDevice makes the faults of one device change.
type invalidDevice struct{ index int32 }

func (i invalidDevice) spec(property string) types.BaseMethodFault {
	return &types.InvalidDeviceSpec{
		InvalidVmConfig: types.InvalidVmConfig{Property: property}, DeviceIndex: i.index,
	}
}

func (i invalidDevice) operation(done types.VirtualDeviceConfigSpecOperation) types.BaseMethodFault {
	return &types.InvalidDeviceOperation{
		InvalidDeviceSpec: types.InvalidDeviceSpec{DeviceIndex: i.index}, BadOp: done,
	}
}

func (e *editor) find(key int32) types.BaseVirtualDevice {
	for _, device := range e.devices {
		if device.GetVirtualDevice().Key == key {
			return device
		}
	}
	return nil
}

func (e *editor) on(controller int32) []types.BaseVirtualDevice {
	var found []types.BaseVirtualDevice
	for _, device := range e.devices {
		if device.GetVirtualDevice().ControllerKey == controller {
			found = append(found, device)
		}
	}
	return found
}

func (e *editor) add(bad invalidDevice, spec *types.VirtualDeviceConfigSpec) types.BaseMethodFault {
	device := spec.Device.GetVirtualDevice()
	wanted := device.Key
	var fault types.BaseMethodFault
	switch d := spec.Device.(type) {
	case types.BaseVirtualController:
		if e.find(wanted) != nil && device.ControllerKey == 0 && isBase(spec.Device) {
			return nil // every VM has those; they are not added twice
		}
		fault = e.addController(bad, d)
	case *types.VirtualDisk:
		fault = e.addDisk(bad, spec, d)
	case *types.VirtualCdrom:
		fault = e.addCdrom(bad, d)
	case types.BaseVirtualEthernetCard:
		fault = e.addCard(bad, d)
	default:
		if e.running() {
			return bad.operation(spec.Operation)
		}
		device.Key = e.freeKey(10000)
	}
	if fault != nil {
		return fault
	}
	e.renamed[wanted] = device.Key
	describe(spec.Device)
	e.devices = append(e.devices, spec.Device)
	return nil
}

func (e *editor) freeKey(from int32) int32 {
	for e.find(from) != nil {
		from++
	}
	return from
}

func (e *editor) alter(bad invalidDevice, spec *types.VirtualDeviceConfigSpec) types.BaseMethodFault {
	for i, present := range e.devices {
		if present.GetVirtualDevice().Key != spec.Device.GetVirtualDevice().Key {
			continue
		}
		var changed types.BaseVirtualDevice
		var fault types.BaseMethodFault
		switch p := present.(type) {
		case *types.VirtualDisk:
			wanted, ok := spec.Device.(*types.VirtualDisk)
			if !ok {
				return bad.spec("device")
			}
			changed, fault = e.alterDisk(bad, p, wanted)
		case *types.VirtualCdrom:
			changed, fault = e.alterCdrom(bad, p, spec.Device)
		case types.BaseVirtualEthernetCard:
			changed, fault = e.alterCard(bad, p, spec.Device)
		default:
			if nameOf(present) != nameOf(spec.Device) {
				return bad.spec("device")
			}
			changed = spec.Device
		}
		if fault != nil {
			return fault
		}
		describe(changed)
		e.devices[i] = changed
		return nil
	}
	return bad.spec("key")
}

func (e *editor) remove(bad invalidDevice, spec *types.VirtualDeviceConfigSpec) types.BaseMethodFault {
	for i, present := range e.devices {
		device := present.GetVirtualDevice()
		if device.Key != spec.Device.GetVirtualDevice().Key {
			continue
		}
		if _, controls := present.(types.BaseVirtualController); controls && len(e.on(device.Key)) > 0 {
			return bad.operation(spec.Operation)
		}
		if e.running() && !hotPlugged(e, present) {
			return bad.operation(spec.Operation)
		}
		if disk, ok := present.(*types.VirtualDisk); ok && spec.FileOperation != "" {
			if spec.FileOperation != types.VirtualDeviceConfigSpecFileOperationDestroy {
				return bad.spec("fileOperation")
			}
			e.commit = append(e.commit, func() { deleteChain(disk) })
		}
		e.devices = append(e.devices[:i], e.devices[i+1:]...)
		return nil
	}
	return bad.spec("key")
}

// hotPlugged tells whether such a device comes and goes while the VM runs.
func hotPlugged(e *editor, device types.BaseVirtualDevice) bool {
	switch device.(type) {
	case *types.VirtualCdrom:
		return false
	case *types.VirtualDisk:
		_, ide := e.find(device.GetVirtualDevice().ControllerKey).(*types.VirtualIDEController)
		return !ide
	case types.BaseVirtualEthernetCard, types.BaseVirtualController:
		return true
	}
	return false
}

func describe(device types.BaseVirtualDevice) {
	d := device.GetVirtualDevice()
	text := &types.Description{Label: label(device), Summary: summary(device)}
	d.DeviceInfo = text
}
