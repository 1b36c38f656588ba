package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func networkObject(ref types.ManagedObjectReference) *mo.Network {
	switch n := simulator.Map.Get(ref).(type) {
	case *mo.Network:
		return n
	case *simulator.DistributedVirtualPortgroup:
		return &n.Network
	}
	return nil
}

func networkName(ref types.ManagedObjectReference) string {
	if network := networkObject(ref); network != nil {
		return network.Name
	}
	return ""
}

// networksOf is what the VM's host has.
func networksOf(vm *simulator.VirtualMachine) []types.ManagedObjectReference {
	if isESX() || vm.Runtime.Host == nil {
		return datacenterOf(vm).Network
	}
	return append(datacenterOf(vm).Network, simulator.Map.Get(*vm.Runtime.Host).(*simulator.HostSystem).Network...)
}

func networkOf(device types.BaseVirtualEthernetCard) *types.ManagedObjectReference {
	switch b := device.GetVirtualEthernetCard().Backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		return b.Network
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return &types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}
	}
	return nil
}

func joinNetwork(ref, vm types.ManagedObjectReference) {
	if network := networkObject(ref); network != nil {
		for _, present := range network.Vm {
			if present == vm {
				return
			}
		}
		network.Vm = append(network.Vm[:len(network.Vm):len(network.Vm)], vm)
	}
}

func leaveNetwork(ref, vm types.ManagedObjectReference) {
	if network := networkObject(ref); network != nil {
		simulator.RemoveReference(&network.Vm, vm)
	}
}
