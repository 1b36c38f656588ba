package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// file is a place in a datastore: "[name] directory/file" for vSphere, and where it really is.
type file struct {
	object.DatastorePath
	datastore *simulator.Datastore
	real      string
}

func (f file) String() string { return f.DatastorePath.String() }

func located(text string) (file, types.BaseMethodFault) {
	var f file
	if !f.FromString(text) {
		return f, &types.InvalidDatastorePath{DatastorePath: text}
	}
	if f.datastore = datastoreNamed(f.Datastore); f.datastore == nil {
		return f, &types.InvalidDatastorePath{InvalidDatastore: types.InvalidDatastore{Name: f.Datastore}, DatastorePath: text}
	}
	root := f.datastore.Info.GetDatastoreInfo().Url
	f.real = filepath.Join(root, filepath.FromSlash(f.Path))
	if f.real != root && !strings.HasPrefix(f.real, root+string(filepath.Separator)) {
		return f, &types.InvalidDatastorePath{DatastorePath: text}
	}
	return f, nil
}

func (f file) beside(name string) file {
	f.Path = path.Join(path.Dir(f.Path), name)
	f.real = filepath.Join(filepath.Dir(f.real), name)
	return f
}

func (f file) within(name string) file {
	f.Path, f.real = path.Join(f.Path, name), filepath.Join(f.real, name)
	return f
}

func (f file) exists() bool {
	info, err := os.Stat(f.real)
	return err == nil && !info.IsDir()
}

func (f file) taken() bool {
	_, err := os.Lstat(f.real)
	return err == nil
}

func notFound(f file) types.BaseMethodFault {
	return &types.FileNotFound{FileFault: types.FileFault{File: f.String()}}
}

func alreadyThere(f file) types.BaseMethodFault {
	return &types.FileAlreadyExists{FileFault: types.FileFault{File: f.String()}}
}

// charge takes space from a datastore, or gives it back where `bytes` is negative.
func charge(datastore *simulator.Datastore, bytes int64) types.BaseMethodFault {
	free := datastore.Summary.FreeSpace
	if bytes > free {
		return &types.NoDiskSpace{Datastore: datastore.Name}
	}
	setFree(datastore, free-bytes)
	return nil
}

func setFree(datastore *simulator.Datastore, free int64) {
	if free > datastore.Summary.Capacity {
		free = datastore.Summary.Capacity
	}
	datastore.Summary.FreeSpace = free
	datastore.Info.GetDatastoreInfo().FreeSpace = free
}
