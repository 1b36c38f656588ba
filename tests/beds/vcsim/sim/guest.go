package main

import (
	"reflect"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	answers["VirtualMachine.ShutdownGuest"] = shutdownGuest
	answers["VirtualMachine.RebootGuest"] = rebootGuest
	answers["VirtualMachine.StandbyGuest"] = standbyGuest
}

// guest is what runs in a VM, as tests set it.
type guest struct {
	Tools     string   `json:"tools"`     // none, stopped, hung, old or running: of a VM that runs
	HostName  string   `json:"host_name"` // as Tools report it
	Addresses []string `json:"addresses"` // of the first card, likewise; "1@address" is of the second
	FullName  string   `json:"full_name"`
	Shutdown  float64  `json:"shutdown"` // seconds from the request until it is off; negative: it takes no notice
	Ignore    int      `json:"ignore"`   // so many requests are not heard
}

// backstage is what the simulation knows of a VM and vSphere's interface does not show.
type backstage struct {
	guest             guest
	set               bool // a test said what the guest is; else it is the one on the disk
	lastSnapshot      int32
	failConsolidation bool
	boots             int                                  // so far
	boot              int                                  // the one that the guest is in
	resumes           map[types.ManagedObjectReference]int // the one that a snapshot with memory comes back to
	keys              []keyPress
	answer            string                          // the last one that was given to a question
	config            *types.VirtualMachineConfigInfo // while the host cannot read it
}

func newBackstage() *backstage {
	return &backstage{guest: guest{Tools: "none"}, resumes: map[types.ManagedObjectReference]int{}}
}

func (s *simulation) behind(vm *simulator.VirtualMachine) *backstage {
	if s.vms[vm.Self] == nil {
		s.vms[vm.Self] = newBackstage()
	}
	return s.vms[vm.Self]
}

func toolsRun(vm *simulator.VirtualMachine) bool {
	return vm.Guest != nil && vm.Guest.ToolsRunningStatus == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
}

// boot starts what is on the VM's disks, the first that has anything.
func (s *simulation) boot(vm *simulator.VirtualMachine) {
	behind := s.behind(vm)
	behind.boots++
	behind.boot = behind.boots
	if behind.set {
		return
	}
	behind.guest = newBackstage().guest
	for _, disk := range disksOf(vm.Config.Hardware.Device) {
		where, fault := located(flat(disk).FileName)
		d, ok := readVMDK(where)
		if fault != nil || !ok {
			continue
		}
		if _, bottom := flattened(where, d); bottom.guest != "" {
			behind.guest = s.installed[bottom.guest]
			return
		}
	}
}

// settleGuest shows what Tools tell, which is nothing while they do not run.
func (s *simulation) settleGuest(vm *simulator.VirtualMachine) {
	g := s.behind(vm).guest
	info := &types.GuestInfo{
		ToolsStatus: types.VirtualMachineToolsStatusToolsNotRunning, ToolsVersion: "11333",
		ToolsVersionStatus:  string(types.VirtualMachineToolsVersionStatusGuestToolsCurrent),
		ToolsVersionStatus2: string(types.VirtualMachineToolsVersionStatusGuestToolsCurrent),
		ToolsRunningStatus:  string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning),
		GuestState:          "notRunning", GuestOperationsReady: types.NewBool(false),
		GuestStateChangeSupported: types.NewBool(false), InteractiveGuestOperationsReady: types.NewBool(false),
	}
	if g.Tools == "none" {
		info.ToolsStatus, info.ToolsVersion = types.VirtualMachineToolsStatusToolsNotInstalled, "0"
		info.ToolsVersionStatus = string(types.VirtualMachineToolsVersionStatusGuestToolsNotInstalled)
		info.ToolsVersionStatus2 = info.ToolsVersionStatus
	}
	heartbeat := types.ManagedEntityStatusGray
	if vm.Runtime.PowerState == on && g.Tools != "none" && g.Tools != "stopped" {
		heartbeat = types.ManagedEntityStatusGreen
		info.ToolsStatus = types.VirtualMachineToolsStatusToolsOk
		if g.Tools == "old" {
			info.ToolsStatus = types.VirtualMachineToolsStatusToolsOld
			info.ToolsVersionStatus2 = string(types.VirtualMachineToolsVersionStatusGuestToolsSupportedOld)
		}
		if g.Tools == "hung" {
			heartbeat = types.ManagedEntityStatusRed
		}
		info.ToolsRunningStatus = string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
		info.GuestState, info.GuestOperationsReady = "running", types.NewBool(true)
		info.GuestStateChangeSupported = types.NewBool(true)
		info.HostName, info.GuestFullName, info.GuestId = g.HostName, g.FullName, vm.Config.GuestId
		info.Net, info.IpStack = reportedCards(vm, g)
		if len(g.Addresses) > 0 && len(info.Net) > 0 && len(info.Net[0].IpAddress) > 0 {
			info.IpAddress = info.Net[0].IpAddress[0]
		}
	}
	vm.Guest = info
	vm.GuestHeartbeatStatus, vm.Summary.QuickStats.GuestHeartbeatStatus = heartbeat, heartbeat
	vm.Summary.Guest = &types.VirtualMachineGuestSummary{
		GuestId: info.GuestId, GuestFullName: info.GuestFullName, ToolsStatus: info.ToolsStatus,
		ToolsVersionStatus: info.ToolsVersionStatus, ToolsVersionStatus2: info.ToolsVersionStatus2,
		ToolsRunningStatus: info.ToolsRunningStatus, HostName: info.HostName, IpAddress: info.IpAddress,
	}
}

func (c *call) guest(wanted types.VirtualMachinePowerState) (*simulator.VirtualMachine, types.BaseMethodFault) {
	vm, fault := ready(c, wanted, on)
	if fault == nil && !toolsRun(vm) {
		fault = &types.ToolsUnavailable{}
	}
	return vm, fault
}

// asked lets the guest do something late, unless it takes no notice or something else happened meanwhile.
func (s *simulation) asked(vm *simulator.VirtualMachine, do func()) {
	behind := s.behind(vm)
	if behind.guest.Ignore > 0 {
		behind.guest.Ignore--
		return
	}
	if behind.guest.Shutdown < 0 {
		return
	}
	boot := behind.boot
	go s.later(behind.guest.Shutdown, func() {
		if machine(vm.Self) != nil && vm.Runtime.PowerState == on && behind.boot == boot {
			do()
		}
	})
}

func shutdownGuest(c *call) (interface{}, types.BaseMethodFault) {
	vm, fault := c.guest(off)
	if fault == nil {
		c.sim.post(vm, &types.VmGuestShutdownEvent{})
		c.sim.asked(vm, func() {
			c.sim.post(vm, &types.VmPoweredOffEvent{})
			c.sim.setPower(vm, off)
		})
	}
	return &types.ShutdownGuestResponse{}, fault
}

func rebootGuest(c *call) (interface{}, types.BaseMethodFault) {
	vm, fault := c.guest(on)
	if fault == nil {
		c.sim.post(vm, &types.VmGuestRebootEvent{})
		c.sim.asked(vm, func() { c.sim.reboot(vm) })
	}
	return &types.RebootGuestResponse{}, fault
}

func standbyGuest(c *call) (interface{}, types.BaseMethodFault) {
	vm, fault := c.guest(suspended)
	if fault == nil {
		c.sim.post(vm, &types.VmGuestStandbyEvent{})
		c.sim.asked(vm, func() { c.sim.setPower(vm, suspended) })
	}
	return &types.StandbyGuestResponse{}, fault
}

// shallow is a copy of a device, whose own fields can be changed.
func shallow(device types.BaseVirtualDevice) types.BaseVirtualDevice {
	value := reflect.ValueOf(device).Elem()
	fresh := reflect.New(value.Type())
	fresh.Elem().Set(value)
	return fresh.Interface().(types.BaseVirtualDevice)
}
