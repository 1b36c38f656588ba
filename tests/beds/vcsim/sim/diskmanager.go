package main

import (
	"os"

	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	works["VirtualDiskManager.CreateVirtualDisk_Task"] = createVirtualDisk
	works["VirtualDiskManager.CopyVirtualDisk_Task"] = copyVirtualDisk
	works["VirtualDiskManager.MoveVirtualDisk_Task"] = moveVirtualDisk
	works["VirtualDiskManager.DeleteVirtualDisk_Task"] = deleteVirtualDisk
	works["VirtualDiskManager.ExtendVirtualDisk_Task"] = extendVirtualDisk
	works["VirtualDiskManager.InflateVirtualDisk_Task"] = inflateVirtualDisk
	answers["VirtualDiskManager.QueryVirtualDiskUuid"] = queryVirtualDiskUUID
	answers["VirtualDiskManager.SetVirtualDiskUuid"] = setVirtualDiskUUID
}

// diskSpec is how a disk is to be made; nil where nothing is said.
func diskSpec(spec types.BaseVirtualDiskSpec) (func(*vmdk), types.BaseMethodFault) {
	if spec == nil {
		return func(*vmdk) {}, nil
	}
	kind := spec.GetVirtualDiskSpec().DiskType
	switch kind {
	case "thin", "preallocated", "eagerZeroedThick", "thick":
	default:
		return nil, invalidArgument("spec.diskType")
	}
	capacity := int64(0)
	if backed, ok := spec.(types.BaseFileBackedVirtualDiskSpec); ok {
		capacity = backed.GetFileBackedVirtualDiskSpec().CapacityKb * 1024
	}
	return func(d *vmdk) {
		d.thin, d.eager = kind == "thin", kind == "eagerZeroedThick"
		if capacity > 0 {
			d.capacity = capacity
		}
	}, nil
}

func createVirtualDisk(c *call) (types.AnyType, types.BaseMethodFault) {
	body := c.body.(*types.CreateVirtualDisk_Task)
	where, fault := located(body.Name)
	if fault != nil {
		return nil, fault
	}
	change, fault := diskSpec(body.Spec)
	if fault != nil {
		return nil, fault
	}
	var d vmdk
	change(&d)
	if fault := d.create(where); fault != nil {
		return nil, fault
	}
	return where.String(), nil
}

func copyVirtualDisk(c *call) (types.AnyType, types.BaseMethodFault) {
	body := c.body.(*types.CopyVirtualDisk_Task)
	from, fault := located(body.SourceName)
	if fault != nil {
		return nil, fault
	}
	to, fault := located(body.DestName)
	if fault != nil {
		return nil, fault
	}
	if body.DestSpec != nil && !isESX() {
		return nil, &types.NotImplemented{} // vCenter has never had it
	}
	change, fault := diskSpec(body.DestSpec)
	if fault != nil {
		return nil, fault
	}
	if isTrue(body.Force) && to.exists() {
		_ = deleteVMDK(to)
	}
	return nil, copyVMDK(from, to, change)
}

func moveVirtualDisk(c *call) (types.AnyType, types.BaseMethodFault) {
	body := c.body.(*types.MoveVirtualDisk_Task)
	from, fault := located(body.SourceName)
	if fault != nil {
		return nil, fault
	}
	to, fault := located(body.DestName)
	if fault != nil {
		return nil, fault
	}
	d, ok := readVMDK(from)
	if !ok {
		return nil, notFound(from)
	}
	if to.taken() {
		return nil, alreadyThere(to)
	}
	extent := from.beside(d.extent).real
	d.extent = extentName(to, d.parent != "")
	if os.Rename(extent, to.beside(d.extent).real) != nil || d.write(to) != nil {
		return nil, notFound(to)
	}
	_ = os.Remove(from.real)
	return to.String(), nil
}

func deleteVirtualDisk(c *call) (types.AnyType, types.BaseMethodFault) {
	where, fault := located(c.body.(*types.DeleteVirtualDisk_Task).Name)
	if fault != nil {
		return nil, fault
	}
	if locked(where.String(), nil) {
		return nil, &types.FileLocked{FileFault: types.FileFault{File: where.String()}}
	}
	return nil, deleteVMDK(where)
}

func extendVirtualDisk(c *call) (types.AnyType, types.BaseMethodFault) {
	body := c.body.(*types.ExtendVirtualDisk_Task)
	where, fault := located(body.Name)
	if fault != nil {
		return nil, fault
	}
	if locked(where.String(), nil) {
		return nil, &types.FileLocked{FileFault: types.FileFault{File: where.String()}}
	}
	return nil, resizeVMDK(where, body.NewCapacityKb*1024)
}

func inflateVirtualDisk(c *call) (types.AnyType, types.BaseMethodFault) {
	where, fault := located(c.body.(*types.InflateVirtualDisk_Task).Name)
	if fault != nil {
		return nil, fault
	}
	d, ok := readVMDK(where)
	if !ok {
		return nil, notFound(where)
	}
	before := d.used(where)
	d.thin, d.eager = false, true
	if fault := charge(where.datastore, d.used(where)-before); fault != nil {
		return nil, fault
	}
	if d.write(where) != nil {
		return nil, &types.FileFault{File: where.String()}
	}
	return nil, nil
}

func queryVirtualDiskUUID(c *call) (interface{}, types.BaseMethodFault) {
	where, fault := located(c.body.(*types.QueryVirtualDiskUuid).Name)
	if fault != nil {
		return nil, fault
	}
	d, ok := readVMDK(where)
	if !ok {
		return nil, notFound(where)
	}
	return &types.QueryVirtualDiskUuidResponse{Returnval: d.uuid}, nil
}

func setVirtualDiskUUID(c *call) (interface{}, types.BaseMethodFault) {
	body := c.body.(*types.SetVirtualDiskUuid)
	where, fault := located(body.Name)
	if fault != nil {
		return nil, fault
	}
	d, ok := readVMDK(where)
	if !ok {
		return nil, notFound(where)
	}
	if vmUUID(body.Uuid) == "" {
		return nil, invalidArgument("uuid")
	}
	d.uuid = body.Uuid
	if d.write(where) != nil {
		return nil, &types.FileFault{File: where.String()}
	}
	return &types.SetVirtualDiskUuidResponse{}, nil
}
