package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	works["VirtualMachine.CloneVM_Task"] = cloneVM
	answers["VirtualMachine.MarkAsTemplate"] = markAsTemplate
	answers["VirtualMachine.MarkAsVirtualMachine"] = markAsVirtualMachine
}

// toBeMarked finds a VM that is off, and is a template or none.
func toBeMarked(c *call, template bool) (*simulator.VirtualMachine, types.BaseMethodFault) {
	vm := machine(c.this)
	switch {
	case isESX():
		return nil, &types.NotSupported{}
	case vm == nil:
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	case vm.Config.Template != template:
		return nil, &types.NotSupported{}
	case vm.Runtime.PowerState != off:
		return nil, wrongState(vm, off)
	}
	return vm, nil
}

func markAsTemplate(c *call) (interface{}, types.BaseMethodFault) {
	vm, fault := toBeMarked(c, false)
	if fault == nil {
		makeTemplate(vm)
	}
	return &types.MarkAsTemplateResponse{}, fault
}

// makeTemplate takes a VM out of its pool: the library leaves it there.
func makeTemplate(vm *simulator.VirtualMachine) {
	if pool, ok := simulator.Map.Get(*vm.ResourcePool).(*simulator.ResourcePool); ok {
		simulator.RemoveReference(&pool.Vm, vm.Self)
	}
	vm.ResourcePool = nil
	vm.Config.Template, vm.Summary.Config.Template = true, true
	touch(vm)
}

func markAsVirtualMachine(c *call) (interface{}, types.BaseMethodFault) {
	body := c.body.(*types.MarkAsVirtualMachine)
	vm, fault := toBeMarked(c, true)
	if fault != nil {
		return nil, fault
	}
	pool, ok := simulator.Map.Get(body.Pool).(*simulator.ResourcePool)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: body.Pool}
	}
	if body.Host != nil {
		to, ok := simulator.Map.Get(*body.Host).(*simulator.HostSystem)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: *body.Host}
		}
		if from, ok := simulator.Map.Get(*vm.Runtime.Host).(*simulator.HostSystem); ok {
			simulator.RemoveReference(&from.Vm, vm.Self)
		}
		to.Vm = append(to.Vm, vm.Self)
		vm.Runtime.Host = &to.Self
		vm.Summary.Runtime.Host = vm.Runtime.Host
	}
	pool.Vm = append(pool.Vm, vm.Self)
	vm.ResourcePool = &pool.Self
	vm.Config.Template, vm.Summary.Config.Template = false, false
	touch(vm)
	return &types.MarkAsVirtualMachineResponse{}, nil
}

func cloneVM(c *call) (types.AnyType, types.BaseMethodFault) {
	body := c.body.(*types.CloneVM_Task)
	vm := machine(c.this)
	folder, _ := simulator.Map.Get(body.Folder).(*simulator.Folder)
	name := stored(body.Name)
	switch {
	case isESX():
		return nil, &types.NotSupported{}
	case vm == nil:
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	case folder == nil:
		return nil, &types.ManagedObjectNotFound{Obj: body.Folder}
	case body.Spec.PowerOn && body.Spec.Template:
		return nil, invalidArgument("spec.powerOn")
	}
	if fault := connected(vm); fault != nil {
		return nil, fault
	}
	if fault := checkName(&folder.Self, name); fault != nil {
		return nil, fault
	}
	from, fault := cloneSource(vm, &body.Spec)
	if fault != nil {
		return nil, fault
	}
	pool := body.Spec.Location.Pool
	if pool == nil {
		pool = vm.ResourcePool // a template has none
	}
	if pool == nil {
		return nil, invalidArgument("spec.location.pool")
	}
	host := body.Spec.Location.Host
	if host == nil && vm.ResourcePool != nil && *pool == *vm.ResourcePool {
		host = vm.Runtime.Host
	}
	request := &types.CreateVM_Task{This: folder.Self, Pool: *pool, Host: host, Config: cloneSpec(vm, from, name, &body.Spec)}
	sub := &call{sim: c.sim, method: "CreateVM_Task", this: folder.Self, body: request, request: c.request}
	result, fault := c.sim.create(sub, &request.Config)
	if fault != nil {
		return nil, fault
	}
	clone := machine(result.(types.ManagedObjectReference))
	if fault := c.finishClone(clone, from, &body.Spec); fault != nil {
		destroy := &call{sim: c.sim, method: "Destroy_Task", this: clone.Self, request: c.request}
		_, _ = destroyVM(destroy)
		return nil, fault
	}
	return clone.Self, nil
}

// cloneSource is the configuration that is cloned: the VM's, or that of one of its snapshots.
func cloneSource(vm *simulator.VirtualMachine, spec *types.VirtualMachineCloneSpec) (*types.VirtualMachineConfigInfo, types.BaseMethodFault) {
	config := &types.VirtualMachineConfigInfo{}
	if spec.Snapshot == nil {
		if linked(spec) {
			return nil, invalidArgument("spec.snapshot")
		}
		copied(vm.Config, config)
		return config, nil
	}
	snapshot, ok := simulator.Map.Get(*spec.Snapshot).(*simulator.VirtualMachineSnapshot)
	if !ok || snapshot.Vm != vm.Self {
		return nil, invalidArgument("spec.snapshot")
	}
	copied(&snapshot.Config, config)
	return config, nil
}

func linked(spec *types.VirtualMachineCloneSpec) bool {
	return spec.Location.DiskMoveType == string(types.VirtualMachineRelocateDiskMoveOptionsCreateNewChildDiskBacking)
}

// cloneSpec is what a VM is made by that is to be like another, its disks aside.
func cloneSpec(vm *simulator.VirtualMachine, from *types.VirtualMachineConfigInfo, name string, spec *types.VirtualMachineCloneSpec) types.VirtualMachineConfigSpec {
	var home file
	home.FromString(vm.Config.Files.VmPathName)
	store := home.Datastore
	if ref := spec.Location.Datastore; ref != nil {
		store = nameOfEntity(*ref)
	}
	made := types.VirtualMachineConfigSpec{
		Name: name, GuestId: from.GuestId, Firmware: from.Firmware, Version: from.Version, Annotation: from.Annotation,
		NumCPUs: from.Hardware.NumCPU, NumCoresPerSocket: from.Hardware.NumCoresPerSocket, MemoryMB: int64(from.Hardware.MemoryMB),
		CpuHotAddEnabled: from.CpuHotAddEnabled, CpuHotRemoveEnabled: from.CpuHotRemoveEnabled,
		MemoryHotAddEnabled: from.MemoryHotAddEnabled, NestedHVEnabled: from.NestedHVEnabled,
		CpuAllocation: from.CpuAllocation, MemoryAllocation: from.MemoryAllocation, BootOptions: from.BootOptions,
		ExtraConfig: from.ExtraConfig, Files: &types.VirtualMachineFileInfo{VmPathName: fmt.Sprintf("[%s]", store)},
	}
	for _, device := range from.Hardware.Device {
		d := device.GetVirtualDevice()
		switch x := device.(type) {
		case *types.VirtualDisk:
			continue
		case types.BaseVirtualEthernetCard:
			card := x.GetVirtualEthernetCard()
			if card.AddressType != string(types.VirtualEthernetCardMacTypeManual) {
				card.MacAddress, card.AddressType = "", ""
			}
		default:
			_, known := busOf(device)
			if _, drive := device.(*types.VirtualCdrom); !drive && (!known || isBase(device)) {
				continue // every VM has those
			}
		}
		d.DeviceInfo = nil
		made.DeviceChange = append(made.DeviceChange, &types.VirtualDeviceConfigSpec{
			Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: device,
		})
	}
	return made
}

// finishClone gives a clone its disks, and what else it is to be.
func (c *call) finishClone(clone *simulator.VirtualMachine, from *types.VirtualMachineConfigInfo, spec *types.VirtualMachineCloneSpec) types.BaseMethodFault {
	home, fault := located(clone.Config.Files.VmPathName)
	if fault != nil {
		return fault
	}
	var changes []types.BaseVirtualDeviceConfigSpec
	for i, disk := range disksOf(from.Hardware.Device) {
		base, fault := located(flat(disk).FileName)
		if fault != nil {
			return fault
		}
		name := strings.TrimSuffix(path.Base(home.Path), ".vmx")
		if i > 0 {
			name = fmt.Sprintf("%s_%d", name, i)
		}
		where := home.beside(name + ".vmdk")
		if linked(spec) {
			d, ok := readVMDK(base)
			if !ok {
				return notFound(base)
			}
			fault = vmdk{capacity: d.capacity, thin: true, uuid: d.uuid, parent: base.String()}.create(where)
		} else {
			fault = copyVMDK(base, where, func(*vmdk) {})
		}
		if fault != nil {
			return fault
		}
		attached := *disk
		attached.Backing = &types.VirtualDiskFlatVer2BackingInfo{
			VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: where.String()},
			DiskMode:                     flat(disk).DiskMode,
		}
		changes = append(changes, &types.VirtualDeviceConfigSpec{
			Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: &attached,
		})
	}
	if fault := c.sim.reconfigureDevices(clone, changes); fault != nil {
		return fault
	}
	touch(clone)
	if spec.Config != nil {
		change := &types.ReconfigVM_Task{This: clone.Self, Spec: *spec.Config}
		sub := &call{sim: c.sim, method: "ReconfigVM_Task", this: clone.Self, body: change, request: c.request}
		if _, fault := reconfigure(sub); fault != nil {
			return fault
		}
	}
	if spec.Template {
		makeTemplate(clone)
	} else if spec.PowerOn {
		c.sim.setPower(clone, on)
	}
	return fault
}
