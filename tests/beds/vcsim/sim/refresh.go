package main

import "github.com/vmware/govmomi/vim25/types"

// What is refreshed is always fresh here; the library would bring its own idea of files and free space back.
func init() {
	answers["Datastore.RefreshDatastore"] = func(*call) (interface{}, types.BaseMethodFault) {
		return &types.RefreshDatastoreResponse{}, nil
	}
	answers["Datastore.RefreshDatastoreStorageInfo"] = func(*call) (interface{}, types.BaseMethodFault) {
		return &types.RefreshDatastoreStorageInfoResponse{}, nil
	}
	answers["VirtualMachine.RefreshStorageInfo"] = func(c *call) (interface{}, types.BaseMethodFault) {
		vm := machine(c.this)
		if vm == nil {
			return nil, &types.ManagedObjectNotFound{Obj: c.this}
		}
		settleLayout(vm)
		return &types.RefreshStorageInfoResponse{}, nil
	}
}
