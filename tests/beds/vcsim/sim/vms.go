package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	works["Folder.CreateVM_Task"] = createVM
	works["VirtualMachine.Rename_Task"] = renameVM
	works["VirtualMachine.Destroy_Task"] = destroyVM
	answers["VirtualMachine.UnregisterVM"] = unregisterVM
}

const longestName = 80

var escaping = strings.NewReplacer("/", "%2f", `\`, "%5c")

// stored is a name as vSphere keeps it: what would be a path's is escaped.
func stored(name string) string { return escaping.Replace(name) }

// checkName refuses a name that a VM of the folder has, or that none can have.
func checkName(folder *types.ManagedObjectReference, name string) types.BaseMethodFault {
	if name == "" || len(name) > longestName {
		return &types.InvalidName{Name: name}
	}
	for _, other := range allMachines() {
		if other.Name == name && (isESX() || (folder != nil && other.Parent != nil && *other.Parent == *folder)) {
			return &types.DuplicateName{Name: name, Object: other.Self}
		}
	}
	return nil
}

func createVM(c *call) (types.AnyType, types.BaseMethodFault) {
	request := c.body.(*types.CreateVM_Task)
	spec := &request.Config
	spec.Name = stored(spec.Name)
	if fault := checkName(&c.this, spec.Name); fault != nil {
		return nil, fault
	}
	return c.sim.create(c, spec)
}

// create makes a VM by the call's own method, whose body holds the spec; its devices are made by us.
func (s *simulation) create(c *call, spec *types.VirtualMachineConfigSpec) (types.AnyType, types.BaseMethodFault) {
	if spec.Files == nil || spec.Files.VmPathName == "" {
		return nil, &types.InvalidVmConfig{Property: "configSpec.files.vmPathName"}
	}
	home, fault := home(spec.Files.VmPathName, spec.Name)
	if fault != nil {
		return nil, fault
	}
	if spec.GuestId != "" && !knownGuest(spec.GuestId) {
		return nil, &types.InvalidArgument{InvalidProperty: "configSpec.guestId"}
	}
	if fault := checkSizes(spec, &types.VirtualHardware{NumCPU: 1, NumCoresPerSocket: 1, MemoryMB: 1 << 30}); fault != nil {
		return nil, fault
	}
	spec.Files.VmPathName = home.String()
	devices, extra, cpu, memory := spec.DeviceChange, spec.ExtraConfig, spec.CpuAllocation, spec.MemoryAllocation
	spec.DeviceChange, spec.ExtraConfig, spec.CpuAllocation, spec.MemoryAllocation = nil, nil, nil, nil
	made := os.Mkdir(filepath.Dir(home.real), 0700) == nil
	result, fault := c.task()
	if fault != nil {
		if made {
			_ = os.RemoveAll(filepath.Dir(home.real))
		}
		return nil, fault
	}
	vm := machine(result.(types.ManagedObjectReference))
	vm.Config.CpuAllocation = allocated(vm.Config.CpuAllocation, cpu)
	vm.Config.MemoryAllocation = allocated(vm.Config.MemoryAllocation, memory)
	if fault := s.reconfigureDevices(vm, devices); fault != nil {
		_, _ = s.ask("UnregisterVM", &types.UnregisterVM{This: vm.Self}, s.sessions.own)
		removeHome(home, made)
		return nil, fault
	}
	vm.Config.ExtraConfig = nil
	setExtraConfig(vm, extra)
	s.vms[vm.Self] = newBackstage()
	touch(vm)
	return result, nil
}

// home is where a new VM's .vmx file goes.
func home(wanted, name string) (file, types.BaseMethodFault) {
	where, fault := located(wanted)
	if fault != nil {
		return where, fault
	}
	if strings.HasSuffix(where.Path, ".vmx") {
		if where.taken() {
			return where, alreadyThere(where)
		}
		return where, nil
	}
	directory := where
	if where.Path == "" {
		for i := 0; ; i++ {
			directory = where.within(name)
			if i > 0 {
				directory = where.within(fmt.Sprintf("%s_%d", name, i))
			}
			if !directory.taken() {
				break
			}
		}
	}
	return directory.within(name + ".vmx"), nil
}

// removeHome removes a VM's own files, and its directory too where nothing else is in it.
func removeHome(vmx file, all bool) {
	directory := filepath.Dir(vmx.real)
	if all {
		_ = os.RemoveAll(directory)
		return
	}
	stem := strings.TrimSuffix(path.Base(vmx.Path), ".vmx")
	for _, name := range []string{stem + ".vmx", stem + ".nvram", "vmware.log"} {
		_ = os.Remove(filepath.Join(directory, name))
	}
	_ = os.Remove(directory) // only if empty
}

func rename(vm *simulator.VirtualMachine, name string) types.BaseMethodFault {
	name = stored(name)
	if name == vm.Name {
		return nil
	}
	if fault := checkName(vm.Parent, name); fault != nil {
		return fault
	}
	update(vm, set("name", name), set("config.name", name), set("summary.config.name", name))
	return nil
}

func renameVM(c *call) (types.AnyType, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	if fault := usable(vm); fault != nil {
		return nil, fault
	}
	return nil, rename(vm, c.body.(*types.Rename_Task).NewName)
}

func destroyVM(c *call) (types.AnyType, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		return nil, &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: vm.Runtime.PowerState,
		}
	}
	snapshots := snapshotsOf(vm)
	disks := disksOf(vm.Config.Hardware.Device)
	for _, snapshot := range snapshots {
		disks = append(disks, disksOf(snapshot.Config.Hardware.Device)...)
		simulator.Map.Remove(snapshot.Self)
	}
	settleDevices(vm, nil)
	vm.Snapshot = nil
	home, fault := located(vm.Config.Files.VmPathName)
	if fault == nil {
		_, fault = c.sim.ask("UnregisterVM", &types.UnregisterVM{This: vm.Self}, c.sim.sessions.own)
	}
	if fault != nil {
		return nil, fault
	}
	for _, disk := range disks {
		deleteChain(disk)
	}
	removeVMFiles(home)
	delete(c.sim.vms, vm.Self)
	return nil, nil
}

// removeVMFiles removes the VM's files and its directory, but not what others may use.
func removeVMFiles(vmx file) {
	directory := filepath.Dir(vmx.real)
	found, _ := os.ReadDir(directory)
	for _, entry := range found {
		if !strings.HasSuffix(entry.Name(), ".vmdk") && !strings.HasSuffix(entry.Name(), ".iso") {
			_ = os.Remove(filepath.Join(directory, entry.Name()))
		}
	}
	_ = os.Remove(directory)
}

func unregisterVM(c *call) (interface{}, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOff {
		settleDevices(vm, nil)
		delete(c.sim.vms, vm.Self)
	}
	return nil, nil // the library does it, or says why not
}
