package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func checkGroup(info *types.HostNetworkInfo, spec *types.HostPortGroupSpec) types.BaseMethodFault {
	switch {
	case spec.Name == "" || len(spec.Name) > longestGroupName:
		return invalidArgument("portgrp.name")
	case spec.VlanId < 0 || spec.VlanId > allVLANs:
		return invalidArgument("portgrp.vlanId")
	case findSwitch(info, spec.VswitchName) == nil:
		return &types.NotFound{}
	}
	return nil
}

func addPortGroup(c *call) (interface{}, types.BaseMethodFault) {
	spec := c.body.(*types.AddPortGroup).Portgrp
	system := c.networks()
	if fault := checkGroup(system.NetworkInfo, &spec); fault != nil {
		return nil, fault
	}
	if findGroup(system.NetworkInfo, spec.Name) != nil {
		return nil, &types.AlreadyExists{Name: spec.Name}
	}
	host := simulator.Map.Get(system.Host.Self).(*simulator.HostSystem)
	if entity := networkEntity(host, spec.Name); entity != nil {
		hostJoins(host, entity)
	} else {
		hostJoins(host, newNetwork(host, spec.Name))
	}
	insertGroup(system.NetworkInfo, spec)
	return &types.AddPortGroupResponse{}, nil
}

func insertGroup(info *types.HostNetworkInfo, spec types.HostPortGroupSpec) {
	above := findSwitch(info, spec.VswitchName)
	above.Portgroup = append(above.Portgroup[:len(above.Portgroup):len(above.Portgroup)], groupKey+spec.Name)
	info.Portgroup = append(info.Portgroup, types.HostPortGroup{
		Key: groupKey + spec.Name, Vswitch: above.Key, Spec: spec, ComputedPolicy: *policyOver(&spec.Policy, above.Spec.Policy),
	})
}

func updatePortGroup(c *call) (interface{}, types.BaseMethodFault) {
	body := c.body.(*types.UpdatePortGroup)
	system := c.networks()
	info := system.NetworkInfo
	if findGroup(info, body.PgName) == nil {
		return nil, &types.NotFound{}
	}
	spec := body.Portgrp
	if fault := checkGroup(info, &spec); fault != nil {
		return nil, fault
	}
	if spec.Name != body.PgName {
		if findGroup(info, spec.Name) != nil {
			return nil, &types.AlreadyExists{Name: spec.Name}
		}
		if groupUsed(system, body.PgName) {
			return nil, resourceInUse("Network", body.PgName)
		}
		host := simulator.Map.Get(system.Host.Self).(*simulator.HostSystem)
		renameNetwork(networkEntity(host, body.PgName), spec.Name)
	}
	detachGroup(info, body.PgName)
	insertGroup(info, spec)
	return &types.UpdatePortGroupResponse{}, nil
}

func removePortGroup(c *call) (interface{}, types.BaseMethodFault) {
	name := c.body.(*types.RemovePortGroup).PgName
	system := c.networks()
	if findGroup(system.NetworkInfo, name) == nil {
		return nil, &types.NotFound{}
	}
	if groupUsed(system, name) {
		return nil, resourceInUse("Network", name)
	}
	dropGroup(system, name)
	return &types.RemovePortGroupResponse{}, nil
}

// groupUsed tells whether a VM of the host, or the host itself, is plugged into a port group.
func groupUsed(system *simulator.HostNetworkSystem, name string) bool {
	for _, vnic := range append(system.NetworkInfo.Vnic[:len(system.NetworkInfo.Vnic):len(system.NetworkInfo.Vnic)],
		system.NetworkInfo.ConsoleVnic...) {
		if vnic.Portgroup == name {
			return true
		}
	}
	for _, vm := range allMachines() {
		if vm.Runtime.Host == nil || *vm.Runtime.Host != system.Host.Self || vm.Config == nil {
			continue
		}
		for _, device := range vm.Config.Hardware.Device {
			if card, ok := device.(types.BaseVirtualEthernetCard); ok {
				backing, ok := card.GetVirtualEthernetCard().Backing.(*types.VirtualEthernetCardNetworkBackingInfo)
				if ok && backing.DeviceName == name {
					return true
				}
			}
		}
	}
	return false
}

func detachGroup(info *types.HostNetworkInfo, name string) {
	for i := range info.Portgroup {
		if info.Portgroup[i].Spec.Name == name {
			info.Portgroup = append(info.Portgroup[:i:i], info.Portgroup[i+1:]...)
			break
		}
	}
	for i := range info.Vswitch {
		var kept []string
		for _, key := range info.Vswitch[i].Portgroup {
			if key != groupKey+name {
				kept = append(kept, key)
			}
		}
		info.Vswitch[i].Portgroup = kept
	}
}

// dropGroup removes a port group from its host, and the network that it is one of where no other host has it.
func dropGroup(system *simulator.HostNetworkSystem, name string) {
	detachGroup(system.NetworkInfo, name)
	host := simulator.Map.Get(system.Host.Self).(*simulator.HostSystem)
	network := networkEntity(host, name)
	if network == nil {
		return
	}
	simulator.RemoveReference(&network.Host, host.Self)
	simulator.RemoveReference(&host.Network, network.Self)
	if len(network.Host) > 0 {
		return
	}
	datacenter := datacenterOf(host)
	simulator.RemoveReference(&datacenter.Network, network.Self)
	if parent := parentOfHost(host); parent != nil {
		simulator.RemoveReference(&parent.Network, network.Self)
	}
	folder := simulator.Map.Get(datacenter.NetworkFolder).(*simulator.Folder)
	simulator.RemoveReference(&folder.ChildEntity, network.Self)
	simulator.Map.Remove(network.Self)
}

func networkEntity(host *simulator.HostSystem, name string) *mo.Network {
	for _, ref := range datacenterOf(host).Network {
		if network := networkObject(ref); ref.Type == "Network" && network != nil && network.Name == name {
			return network
		}
	}
	return nil
}

func newNetwork(host *simulator.HostSystem, name string) *mo.Network {
	datacenter := datacenterOf(host)
	folder := simulator.Map.Get(datacenter.NetworkFolder).(*simulator.Folder)
	network := &mo.Network{}
	renameNetwork(network, name)
	simulator.Map.PutEntity(folder, network)
	folder.ChildEntity = append(folder.ChildEntity, network.Self)
	simulator.Map.Put(network) // views take it in only now that it is in their folder
	datacenter.Network = append(datacenter.Network, network.Self)
	network.Summary.GetNetworkSummary().Network = &network.Self
	return network
}

func renameNetwork(network *mo.Network, name string) {
	network.Name = name
	network.ManagedEntity.Name = name
	network.Summary = &types.NetworkSummary{Name: name, Accessible: true, Network: &network.Self}
}

func hostJoins(host *simulator.HostSystem, network *mo.Network) {
	join := func(list *[]types.ManagedObjectReference, ref types.ManagedObjectReference) {
		if simulator.FindReference(*list, ref) == nil {
			*list = append((*list)[:len(*list):len(*list)], ref)
		}
	}
	join(&network.Host, host.Self)
	join(&host.Network, network.Self)
	if parent := parentOfHost(host); parent != nil {
		join(&parent.Network, network.Self)
	}
}

func parentOfHost(host *simulator.HostSystem) *mo.ComputeResource {
	switch parent := simulator.Map.Get(*host.Parent).(type) {
	case *mo.ComputeResource:
		return parent
	case *simulator.ClusterComputeResource:
		return &parent.ComputeResource
	}
	return nil
}

// mendNetworks makes one of what the library tells twice, differently, of a host's networks; every host gets its own.
func mendNetworks() {
	for _, entity := range simulator.Map.All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		system, ok := simulator.Map.Get(*host.ConfigManager.NetworkSystem).(*simulator.HostNetworkSystem)
		if !ok {
			continue
		}
		info := &types.HostNetworkInfo{}
		copied(host.Config.Network, info)
		groups := info.Portgroup
		info.Portgroup = nil
		for i := range info.Vswitch {
			s := &info.Vswitch[i]
			s.Key, s.Portgroup = switchKey+s.Name, nil
			must(asError(setSwitch(info, s, s.Spec)))
		}
		for _, group := range groups {
			insertGroup(info, group.Spec)
		}
		config := *host.Config
		config.Network = info
		host.Config = &config
		system.NetworkInfo = info
		system.Host = &host.HostSystem
		for _, group := range info.Portgroup {
			network := networkEntity(host, group.Spec.Name)
			if network == nil && !isVMKernel(info, group.Spec.Name) {
				network = newNetwork(host, group.Spec.Name)
			}
			if network != nil {
				hostJoins(host, network)
			}
		}
	}
}

// isVMKernel tells whether a port group is for the host itself: VMs cannot be plugged into it.
func isVMKernel(info *types.HostNetworkInfo, name string) bool {
	for _, vnic := range info.Vnic {
		if vnic.Portgroup == name {
			return true
		}
	}
	return false
}
