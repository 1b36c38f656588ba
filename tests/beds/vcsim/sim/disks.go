package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func flat(disk *types.VirtualDisk) *types.VirtualDiskFlatVer2BackingInfo {
	backing, _ := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	return backing
}

func disksOf(devices []types.BaseVirtualDevice) []*types.VirtualDisk {
	var found []*types.VirtualDisk
	for _, device := range devices {
		if disk, ok := device.(*types.VirtualDisk); ok && flat(disk) != nil {
			found = append(found, disk)
		}
	}
	return found
}

func (e *editor) addDisk(bad invalidDevice, spec *types.VirtualDeviceConfigSpec, disk *types.VirtualDisk) types.BaseMethodFault {
	backing := flat(disk)
	if backing == nil {
		return bad.spec("deviceChange.device.backing")
	}
	b, fault := e.place(bad, &disk.VirtualDevice, scsi, sata, nvme, ide)
	if fault != nil {
		return fault
	}
	if e.running() && b == ide {
		return bad.operation(spec.Operation)
	}
	switch spec.FileOperation {
	case types.VirtualDeviceConfigSpecFileOperationCreate:
		return e.createDisk(bad, disk, backing)
	case "":
		return e.attachDisk(bad, disk, backing)
	}
	return bad.spec("deviceChange.fileOperation")
}

func (e *editor) createDisk(bad invalidDevice, disk *types.VirtualDisk, backing *types.VirtualDiskFlatVer2BackingInfo) types.BaseMethodFault {
	where, fault := e.diskFile(backing.FileName)
	if fault != nil {
		return fault
	}
	capacity := disk.CapacityInBytes
	if capacity == 0 {
		capacity = disk.CapacityInKB * 1024
	}
	made := vmdk{capacity: capacity, thin: isTrue(backing.ThinProvisioned), eager: isTrue(backing.EagerlyScrub)}
	if backing.Parent != nil {
		parent, fault := located(backing.Parent.FileName)
		if fault != nil {
			return fault
		}
		base, ok := readVMDK(parent)
		if !ok {
			return notFound(parent)
		}
		made.parent, made.uuid, made.thin = parent.String(), base.uuid, true
		if capacity == 0 {
			made.capacity = base.capacity
		}
		if made.capacity < base.capacity {
			return bad.spec("deviceChange.device.capacityInKB")
		}
	}
	if made.capacity <= 0 {
		return bad.spec("deviceChange.device.capacityInKB")
	}
	if fault := made.create(where); fault != nil {
		return fault
	}
	e.undo = append(e.undo, func() { _ = deleteVMDK(where) })
	e.report(disk, backing, where)
	return nil
}

// diskFile is where a new disk goes: where its backing says, or beside the VM's other files, by the VM's name.
func (e *editor) diskFile(name string) (file, types.BaseMethodFault) {
	home, fault := located(e.vm.Config.Files.VmPathName)
	if fault != nil {
		return home, fault
	}
	stem := strings.TrimSuffix(path.Base(home.Path), ".vmx")
	if name != "" {
		where, fault := located(name)
		if fault != nil || where.Path != "" {
			return where, fault
		}
		if where.datastore != home.datastore {
			home = where.within(path.Dir(home.Path)).within("x")
		}
	}
	for i := 0; ; i++ {
		where := home.beside(stem + ".vmdk")
		if i > 0 {
			where = home.beside(fmt.Sprintf("%s_%d.vmdk", stem, i))
		}
		if !where.taken() {
			return where, nil
		}
	}
}

func (e *editor) attachDisk(bad invalidDevice, disk *types.VirtualDisk, backing *types.VirtualDiskFlatVer2BackingInfo) types.BaseMethodFault {
	where, fault := located(backing.FileName)
	if fault != nil {
		return fault
	}
	if !where.exists() {
		if where.taken() {
			return bad.spec("deviceChange.device.backing.fileName") // a directory
		}
		return notFound(where)
	}
	if _, ok := readVMDK(where); !ok {
		return bad.spec("deviceChange.device.backing.fileName")
	}
	for _, other := range disksOf(e.devices) {
		if flat(other).FileName == where.String() {
			return bad.spec("deviceChange.device.backing.fileName")
		}
	}
	if e.running() && locked(where.String(), e.vm) {
		return &types.FileLocked{FileFault: types.FileFault{File: where.String()}}
	}
	e.report(disk, backing, where)
	return nil
}

// locked tells whether a VM that runs, other than this one, has a disk on the file.
func locked(name string, but *simulator.VirtualMachine) bool {
	for _, vm := range allMachines() {
		if vm == but || vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
			continue
		}
		for _, disk := range disksOf(vm.Config.Hardware.Device) {
			for backing := flat(disk); backing != nil; backing = backing.Parent {
				if backing.FileName == name {
					return true
				}
			}
		}
	}
	return false
}

// report fills in what the file itself says of a disk.
func (e *editor) report(disk *types.VirtualDisk, backing *types.VirtualDiskFlatVer2BackingInfo, where file) {
	d, _ := readVMDK(where)
	disk.CapacityInBytes, disk.CapacityInKB = d.capacity, d.capacity/1024
	mode := backing.DiskMode
	if mode == "" {
		mode = string(types.VirtualDiskModePersistent)
	}
	*backing = *chain(where, mode)
	if disk.Shares == nil {
		disk.Shares = &types.SharesInfo{Shares: 1000, Level: types.SharesLevelNormal}
	}
}

// chain is the backing of a disk and of those that it continues, as the files have it.
func chain(where file, mode string) *types.VirtualDiskFlatVer2BackingInfo {
	d, ok := readVMDK(where)
	if !ok {
		return nil
	}
	no := func() *bool { return types.NewBool(false) }
	backing := &types.VirtualDiskFlatVer2BackingInfo{
		DiskMode: mode, ThinProvisioned: types.NewBool(d.thin), EagerlyScrub: types.NewBool(d.eager),
		WriteThrough: no(), Split: no(), DigestEnabled: no(), Uuid: vmUUID(d.uuid), ContentId: "fffffffe",
	}
	backing.FileName = where.String()
	backing.Datastore = &where.datastore.Self
	if d.parent != "" {
		if parent, fault := parentOf(where, d); fault == nil {
			backing.Parent = chain(parent, mode)
		}
	}
	return backing
}

// vmUUID writes a disk's UUID the way that backings do.
func vmUUID(disk string) string {
	hex := strings.NewReplacer(" ", "", "-", "").Replace(disk)
	if len(hex) != 32 {
		return ""
	}
	return strings.Join([]string{hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:]}, "-")
}

func (e *editor) alterDisk(bad invalidDevice, present, wanted *types.VirtualDisk) (types.BaseVirtualDevice, types.BaseMethodFault) {
	changed := *present
	backing := *flat(present)
	changed.Backing = &backing
	if b := flat(wanted); b != nil {
		if b.FileName != "" && b.FileName != backing.FileName {
			return nil, bad.operation(types.VirtualDeviceConfigSpecOperationEdit)
		}
		if b.DiskMode != "" {
			backing.DiskMode = b.DiskMode
		}
	}
	if wanted.Shares != nil {
		changed.Shares = wanted.Shares
	}
	if wanted.StorageIOAllocation != nil {
		changed.StorageIOAllocation = wanted.StorageIOAllocation
	}
	capacity := wanted.CapacityInBytes
	if capacity == 0 || (capacity == present.CapacityInBytes && wanted.CapacityInKB != present.CapacityInKB) {
		capacity = wanted.CapacityInKB * 1024
	}
	if capacity == 0 || capacity == present.CapacityInBytes {
		return &changed, nil
	}
	if capacity < present.CapacityInBytes || backing.Parent != nil {
		return nil, bad.operation(types.VirtualDeviceConfigSpecOperationEdit)
	}
	if e.running() && present.Key >= ide.devices && present.Key < 4000 {
		return nil, bad.operation(types.VirtualDeviceConfigSpecOperationEdit)
	}
	where, fault := located(backing.FileName)
	if fault == nil {
		fault = resizeVMDK(where, capacity)
	}
	if fault == nil {
		e.commit = append(e.commit, func() { grown(backing.FileName, capacity) })
	}
	changed.CapacityInBytes, changed.CapacityInKB = capacity, capacity/1024
	return &changed, fault
}

// grown shows a disk's new size in all VMs that have it.
func grown(name string, capacity int64) {
	for _, vm := range allMachines() {
		devices := append([]types.BaseVirtualDevice(nil), vm.Config.Hardware.Device...)
		for i, device := range devices {
			if disk, ok := device.(*types.VirtualDisk); ok && flat(disk) != nil && flat(disk).FileName == name {
				larger := *disk
				larger.CapacityInBytes, larger.CapacityInKB = capacity, capacity/1024
				devices[i] = &larger
			}
		}
		vm.Config.Hardware.Device = devices
	}
}

// dropDeltas deletes the files that a disk was continued in since snapshots, as far as nobody else needs them. The
// disk that it began as stays.
func dropDeltas(disk *types.VirtualDisk) {
	for backing := flat(disk); backing.Parent != nil && !inUse(backing.FileName); backing = backing.Parent {
		dropFile(backing.FileName)
	}
}

// deleteChain deletes a disk's file and those that it continues and nobody else does.
func deleteChain(disk *types.VirtualDisk) {
	for backing := flat(disk); backing != nil; backing = backing.Parent {
		if inUse(backing.FileName) {
			return
		}
		if where, fault := located(backing.FileName); fault == nil {
			_ = deleteVMDK(where)
		}
	}
}

// inUse tells whether a VM, or a snapshot of one, has a disk on the file.
func inUse(name string) bool {
	for _, vm := range allMachines() {
		devices := vm.Config.Hardware.Device
		for _, snapshot := range snapshotsOf(vm) {
			devices = append(devices[:len(devices):len(devices)], snapshot.Config.Hardware.Device...)
		}
		for _, disk := range disksOf(devices) {
			for backing := flat(disk); backing != nil; backing = backing.Parent {
				if backing.FileName == name {
					return true
				}
			}
		}
	}
	return false
}
