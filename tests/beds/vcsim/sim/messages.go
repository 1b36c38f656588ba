package main

import (
	"fmt"

	"github.com/vmware/govmomi/vim25/types"
)

// message is a fault as vSphere would write it for a person.
func message(fault types.BaseMethodFault) string {
	switch f := fault.(type) {
	case *types.DuplicateName:
		return fmt.Sprintf("The name '%s' already exists.", f.Name)
	case *types.InvalidPowerState:
		return fmt.Sprintf("The attempted operation cannot be performed in the current state (%s).", f.ExistingState)
	case *types.FileNotFound:
		return fmt.Sprintf("File %s was not found", f.File)
	case *types.FileAlreadyExists:
		return fmt.Sprintf("Cannot complete the operation because the file %s already exists", f.File)
	case *types.NoDiskSpace:
		return fmt.Sprintf("Insufficient disk space on datastore '%s'.", f.Datastore)
	case *types.ResourceInUse:
		return fmt.Sprintf("The resource '%s' is in use.", f.Name)
	case *types.AlreadyExists:
		return fmt.Sprintf("The specified key, name, or identifier '%s' already exists.", f.Name)
	case *types.NotFound:
		return "The object or item referred to could not be found."
	case *types.InvalidArgument:
		return "A specified parameter was not correct: " + f.InvalidProperty
	case *types.InvalidProperty:
		return "Property is invalid: " + f.Name
	case *types.RestrictedVersion:
		return "Current license or ESXi version prohibits execution of the requested operation."
	case *types.ManagedObjectNotFound:
		return fmt.Sprintf("The object '%s' has already been deleted or has not been completely created", f.Obj)
	case *types.SystemError:
		return "A general system error occurred: " + f.Reason
	case *types.RequestCanceled:
		return "The task was canceled by a user."
	case *types.ToolsUnavailable:
		return "Cannot complete operation because VMware Tools is not running in this virtual machine."
	}
	return "The operation failed: " + nameOf(fault)
}
