package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func serviceContent() *types.ServiceContent {
	return &simulator.Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance).Content
}

func nameOfEntity(ref types.ManagedObjectReference) string {
	if entity, ok := simulator.Map.Get(ref).(mo.Entity); ok {
		return entity.Entity().Name
	}
	return ""
}

func machine(ref types.ManagedObjectReference) *simulator.VirtualMachine {
	vm, _ := simulator.Map.Get(ref).(*simulator.VirtualMachine)
	return vm
}

func allMachines() []*simulator.VirtualMachine {
	var all []*simulator.VirtualMachine
	for _, entity := range simulator.Map.All("VirtualMachine") {
		all = append(all, entity.(*simulator.VirtualMachine))
	}
	return all
}

func machineNamed(name string) *simulator.VirtualMachine {
	for _, vm := range allMachines() {
		if vm.Name == name || vm.Self.Value == name {
			return vm
		}
	}
	return nil
}

func datastoreNamed(name string) *simulator.Datastore {
	for _, entity := range simulator.Map.All("Datastore") {
		if datastore := entity.(*simulator.Datastore); datastore.Name == name {
			return datastore
		}
	}
	return nil
}

func datastoreDirectories() map[string]string {
	found := map[string]string{}
	for _, entity := range simulator.Map.All("Datastore") {
		datastore := entity.(*simulator.Datastore)
		found[datastore.Name] = datastore.Info.GetDatastoreInfo().Url
	}
	return found
}

func datacenterOf(entity mo.Entity) *simulator.Datacenter {
	for parent := entity.Entity().Parent; parent != nil; {
		next, _ := simulator.Map.Get(*parent).(mo.Entity)
		if datacenter, ok := next.(*simulator.Datacenter); ok {
			return datacenter
		}
		parent = next.Entity().Parent
	}
	return nil
}

func isESX() bool { return simulator.Map.IsESX() }

func isTrue(b *bool) bool { return b != nil && *b }

func update(object mo.Reference, changes ...types.PropertyChange) {
	simulator.Map.Update(object, changes)
}

func set(name string, value types.AnyType) types.PropertyChange {
	return types.PropertyChange{Name: name, Val: value}
}
