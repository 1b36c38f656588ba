package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	answers["HostNetworkSystem.AddVirtualSwitch"] = addVirtualSwitch
	answers["HostNetworkSystem.UpdateVirtualSwitch"] = updateVirtualSwitch
	answers["HostNetworkSystem.RemoveVirtualSwitch"] = removeVirtualSwitch
	answers["HostNetworkSystem.AddPortGroup"] = addPortGroup
	answers["HostNetworkSystem.UpdatePortGroup"] = updatePortGroup
	answers["HostNetworkSystem.RemovePortGroup"] = removePortGroup
}

const (
	longestSwitchName = 31
	longestGroupName  = 255
	allVLANs          = 4095
	usualMTU          = 1500
	leastMTU          = 1280
	mostMTU           = 9000
	groupKey          = "key-vim.host.PortGroup-"
	switchKey         = "key-vim.host.VirtualSwitch-"
)

func (c *call) networks() *simulator.HostNetworkSystem {
	return simulator.Map.Get(c.this).(*simulator.HostNetworkSystem)
}

func findSwitch(info *types.HostNetworkInfo, name string) *types.HostVirtualSwitch {
	for i := range info.Vswitch {
		if info.Vswitch[i].Name == name {
			return &info.Vswitch[i]
		}
	}
	return nil
}

func findGroup(info *types.HostNetworkInfo, name string) *types.HostPortGroup {
	for i := range info.Portgroup {
		if info.Portgroup[i].Spec.Name == name {
			return &info.Portgroup[i]
		}
	}
	return nil
}

func invalidArgument(property string) types.BaseMethodFault {
	return &types.InvalidArgument{InvalidProperty: property}
}

func resourceInUse(kind, name string) types.BaseMethodFault {
	return &types.ResourceInUse{Type: kind, Name: name}
}

func addVirtualSwitch(c *call) (interface{}, types.BaseMethodFault) {
	body := c.body.(*types.AddVirtualSwitch)
	info := c.networks().NetworkInfo
	if body.VswitchName == "" || len(body.VswitchName) > longestSwitchName {
		return nil, invalidArgument("vswitchName")
	}
	if findSwitch(info, body.VswitchName) != nil {
		return nil, &types.AlreadyExists{Name: body.VswitchName}
	}
	created := types.HostVirtualSwitch{Name: body.VswitchName, Key: switchKey + body.VswitchName}
	spec := types.HostVirtualSwitchSpec{}
	if body.Spec != nil {
		spec = *body.Spec
	}
	if fault := setSwitch(info, &created, spec); fault != nil {
		return nil, fault
	}
	info.Vswitch = append(info.Vswitch, created)
	return &types.AddVirtualSwitchResponse{}, nil
}

// setSwitch gives a switch its specification, if it can have it.
func setSwitch(info *types.HostNetworkInfo, s *types.HostVirtualSwitch, spec types.HostVirtualSwitchSpec) types.BaseMethodFault {
	if spec.Mtu == 0 {
		spec.Mtu = usualMTU
	}
	if spec.Mtu < leastMTU || spec.Mtu > mostMTU {
		return invalidArgument("spec.mtu")
	}
	if spec.NumPorts < 0 || spec.NumPorts > 4088 {
		return invalidArgument("spec.numPorts")
	}
	var uplinks []string
	if bridge, ok := spec.Bridge.(*types.HostVirtualSwitchBondBridge); ok {
		for _, device := range bridge.NicDevice {
			nic := findNic(info, device)
			if nic == nil {
				return &types.NotFound{}
			}
			for _, other := range info.Vswitch {
				if other.Name != s.Name && contains(other.Pnic, nic.Key) {
					return resourceInUse("PhysicalNic", device)
				}
			}
			uplinks = append(uplinks, nic.Key)
		}
	} else if spec.Bridge != nil {
		return invalidArgument("spec.bridge")
	}
	no, yes := types.NewBool(false), types.NewBool(true)
	spec.Policy = policyOver(spec.Policy, &types.HostNetworkPolicy{Security: &types.HostNetworkSecurityPolicy{
		AllowPromiscuous: no, MacChanges: yes, ForgedTransmits: yes,
	}})
	s.Spec, s.Mtu, s.Pnic = spec, spec.Mtu, uplinks
	s.NumPorts, s.NumPortsAvailable = spec.NumPorts, spec.NumPorts
	for i := range info.Portgroup {
		if group := &info.Portgroup[i]; group.Spec.VswitchName == s.Name {
			group.ComputedPolicy = *policyOver(&group.Spec.Policy, spec.Policy)
		}
	}
	return nil
}

// policyOver is a policy with what it leaves open as the other has it.
func policyOver(policy, base *types.HostNetworkPolicy) *types.HostNetworkPolicy {
	result := *base
	if policy == nil {
		return &result
	}
	security := *base.Security
	if p := policy.Security; p != nil {
		if p.AllowPromiscuous != nil {
			security.AllowPromiscuous = p.AllowPromiscuous
		}
		if p.MacChanges != nil {
			security.MacChanges = p.MacChanges
		}
		if p.ForgedTransmits != nil {
			security.ForgedTransmits = p.ForgedTransmits
		}
	}
	result.Security = &security
	if policy.NicTeaming != nil {
		result.NicTeaming = policy.NicTeaming
	}
	if policy.ShapingPolicy != nil {
		result.ShapingPolicy = policy.ShapingPolicy
	}
	return &result
}

func findNic(info *types.HostNetworkInfo, device string) *types.PhysicalNic {
	for i := range info.Pnic {
		if info.Pnic[i].Device == device || info.Pnic[i].Key == device {
			return &info.Pnic[i]
		}
	}
	return nil
}

func contains(list []string, text string) bool {
	for _, each := range list {
		if each == text {
			return true
		}
	}
	return false
}

func updateVirtualSwitch(c *call) (interface{}, types.BaseMethodFault) {
	body := c.body.(*types.UpdateVirtualSwitch)
	info := c.networks().NetworkInfo
	found := findSwitch(info, body.VswitchName)
	if found == nil {
		return nil, &types.NotFound{}
	}
	return &types.UpdateVirtualSwitchResponse{}, setSwitch(info, found, body.Spec)
}

func removeVirtualSwitch(c *call) (interface{}, types.BaseMethodFault) {
	name := c.body.(*types.RemoveVirtualSwitch).VswitchName
	system := c.networks()
	info := system.NetworkInfo
	found := findSwitch(info, name)
	if found == nil {
		return nil, &types.NotFound{}
	}
	var groups []string
	for _, group := range info.Portgroup {
		if group.Spec.VswitchName == name {
			groups = append(groups, group.Spec.Name)
			if groupUsed(system, group.Spec.Name) {
				return nil, resourceInUse("HostVirtualSwitch", name)
			}
		}
	}
	for _, group := range groups {
		dropGroup(system, group)
	}
	for i := range info.Vswitch {
		if info.Vswitch[i].Name == name {
			info.Vswitch = append(info.Vswitch[:i:i], info.Vswitch[i+1:]...)
			break
		}
	}
	return &types.RemoveVirtualSwitchResponse{}, nil
}
