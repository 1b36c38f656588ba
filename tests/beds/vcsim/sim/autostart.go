package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	answers["HostAutoStartManager.ReconfigureAutostart"] = reconfigureAutostart
}

// addAutostart gives every host the manager that the library only names.
func addAutostart() {
	for _, entity := range simulator.Map.All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		ref := types.ManagedObjectReference{Type: "HostAutoStartManager", Value: "autostart-" + host.Self.Value}
		host.ConfigManager.AutoStartManager = &ref
		simulator.Map.Put(&mo.HostAutoStartManager{Self: ref, Config: types.HostAutoStartManagerConfig{
			Defaults: &types.AutoStartDefaults{
				Enabled: types.NewBool(false), StartDelay: 120, StopDelay: 120, WaitForHeartbeat: types.NewBool(false),
				StopAction: "PowerOff",
			},
		}})
	}
}

// reconfigureAutostart changes the defaults, and the settings of those VMs that it names.
func reconfigureAutostart(c *call) (interface{}, types.BaseMethodFault) {
	manager, ok := simulator.Map.Get(c.this).(*mo.HostAutoStartManager)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	spec := c.body.(*types.ReconfigureAutostart).Spec
	config := types.HostAutoStartManagerConfig{Defaults: manager.Config.Defaults}
	for _, info := range manager.Config.PowerInfo {
		if machine(info.Key) != nil { // not one that is gone
			config.PowerInfo = append(config.PowerInfo, info)
		}
	}
	if d := spec.Defaults; d != nil {
		merged := *config.Defaults
		if d.Enabled != nil {
			merged.Enabled = d.Enabled
		}
		if d.StartDelay != 0 {
			merged.StartDelay = d.StartDelay
		}
		if d.StopDelay != 0 {
			merged.StopDelay = d.StopDelay
		}
		if d.StopAction != "" {
			merged.StopAction = d.StopAction
		}
		config.Defaults = &merged
	}
	for _, wanted := range spec.PowerInfo {
		vm := machine(wanted.Key)
		if vm == nil || vm.Runtime.Host == nil || "autostart-"+vm.Runtime.Host.Value != c.this.Value {
			return nil, invalidArgument("spec.powerInfo.key")
		}
		if wanted.StartOrder == 0 || wanted.StartOrder < -1 {
			return nil, invalidArgument("spec.powerInfo.startOrder")
		}
		var kept []types.AutoStartPowerInfo
		for _, info := range config.PowerInfo {
			if info.Key != wanted.Key {
				kept = append(kept, info)
			}
		}
		config.PowerInfo = append(kept, wanted)
	}
	manager.Config = config
	return &types.ReconfigureAutostartResponse{}, nil
}
