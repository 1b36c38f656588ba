package main

import (
	"os"
	"path/filepath"

	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	works["FileManager.DeleteDatastoreFile_Task"] = deleteDatastoreFile
	works["FileManager.MoveDatastoreFile_Task"] = moveDatastoreFile
	answers["FileManager.MakeDirectory"] = makeDirectory
}

// deleteDatastoreFile deletes a file, a directory with all in it, or a disk, whose data go with its descriptor.
func deleteDatastoreFile(c *call) (types.AnyType, types.BaseMethodFault) {
	where, fault := located(c.body.(*types.DeleteDatastoreFile_Task).Name)
	if fault != nil {
		return nil, fault
	}
	if where.Path == "" {
		return nil, &types.InvalidDatastorePath{DatastorePath: where.String()}
	}
	info, err := os.Stat(where.real)
	if err != nil {
		return nil, notFound(where)
	}
	if _, disk := readVMDK(where); disk {
		return nil, deleteVMDK(where)
	}
	if !info.IsDir() {
		_ = charge(where.datastore, -info.Size())
		_ = os.Remove(where.real)
		return nil, nil
	}
	_ = filepath.Walk(where.real, func(name string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			_ = charge(where.datastore, -info.Size())
		}
		return nil
	})
	_ = os.RemoveAll(where.real)
	return nil, nil
}

func moveDatastoreFile(c *call) (types.AnyType, types.BaseMethodFault) {
	body := c.body.(*types.MoveDatastoreFile_Task)
	from, fault := located(body.SourceName)
	if fault != nil {
		return nil, fault
	}
	to, fault := located(body.DestinationName)
	if fault != nil {
		return nil, fault
	}
	switch {
	case !from.taken():
		return nil, notFound(from)
	case to.taken() && !isTrue(body.Force):
		return nil, alreadyThere(to)
	case os.Rename(from.real, to.real) != nil:
		return nil, notFound(to)
	}
	return nil, nil
}

func makeDirectory(c *call) (interface{}, types.BaseMethodFault) {
	body := c.body.(*types.MakeDirectory)
	where, fault := located(body.Name)
	if fault != nil {
		return nil, fault
	}
	if where.taken() {
		return nil, alreadyThere(where)
	}
	if isTrue(body.CreateParentDirectories) {
		_ = os.MkdirAll(filepath.Dir(where.real), 0700)
	}
	if os.Mkdir(where.real, 0700) != nil {
		return nil, notFound(where)
	}
	return &types.MakeDirectoryResponse{}, nil
}
