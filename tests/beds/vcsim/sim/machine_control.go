package main

import (
	"encoding/json"
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	operations["guest"] = setGuest
	operations["install"] = install
	operations["connection"] = setConnection
	operations["consolidation"] = setConsolidation
	operations["free"] = setFreeSpace
	operations["host"] = setHost
	operations["machine"] = showMachine
	operations["power"] = setPowerBehind
}

// ofMachine finds the VM that arguments name, and reads the others into `into`.
func ofMachine(raw json.RawMessage, into interface{}) (*simulator.VirtualMachine, error) {
	var who struct {
		VM string `json:"vm"`
	}
	if err := json.Unmarshal(raw, &who); err != nil {
		return nil, err
	}
	vm := machineNamed(who.VM)
	if vm == nil {
		return nil, fmt.Errorf("no VM %q", who.VM)
	}
	return vm, json.Unmarshal(raw, into)
}

// setGuest changes what is named, and leaves the rest as it was.
func setGuest(s *simulation, raw json.RawMessage) (interface{}, error) {
	var nothing struct{}
	vm, err := ofMachine(raw, &nothing)
	if err != nil {
		return nil, err
	}
	behind := s.behind(vm)
	if err := json.Unmarshal(raw, &behind.guest); err != nil {
		return nil, err
	}
	behind.set = true
	s.settleGuest(vm)
	return nil, nil
}

// install puts a guest on a disk, from which VMs that have the disk, a copy or a child of it boot.
func install(s *simulation, raw json.RawMessage) (interface{}, error) {
	var wanted struct {
		Disk string `json:"disk"`
	}
	on := newBackstage().guest
	if err := json.Unmarshal(raw, &wanted); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &on); err != nil {
		return nil, err
	}
	where, fault := located(wanted.Disk)
	d, ok := readVMDK(where)
	if fault != nil || !ok {
		return nil, fmt.Errorf("no disk %q", wanted.Disk)
	}
	d.guest = fmt.Sprint(len(s.installed) + 1)
	s.installed[d.guest] = on
	return nil, d.write(where)
}

func setConnection(s *simulation, raw json.RawMessage) (interface{}, error) {
	var wanted struct {
		State types.VirtualMachineConnectionState `json:"state"`
	}
	vm, err := ofMachine(raw, &wanted)
	if err != nil {
		return nil, err
	}
	vm.Runtime.ConnectionState = wanted.State
	vm.Summary.Runtime.ConnectionState = wanted.State
	behind := s.behind(vm)
	// A VM whose .vmx file cannot be read has no configuration that the host could tell.
	unknown := wanted.State == types.VirtualMachineConnectionStateInaccessible ||
		wanted.State == types.VirtualMachineConnectionStateInvalid
	if unknown && vm.Config != nil {
		behind.config, vm.Config = vm.Config, nil
	} else if !unknown && vm.Config == nil {
		vm.Config, behind.config = behind.config, nil
	}
	return nil, nil
}

// setConsolidation lets the merging of disks fail from now on when a snapshot is removed, as it does for want of space.
func setConsolidation(s *simulation, raw json.RawMessage) (interface{}, error) {
	var wanted struct {
		Fails bool `json:"fails"`
	}
	vm, err := ofMachine(raw, &wanted)
	if err == nil {
		s.behind(vm).failConsolidation = wanted.Fails
	}
	return nil, err
}

func setFreeSpace(_ *simulation, raw json.RawMessage) (interface{}, error) {
	var wanted struct {
		Datastore string `json:"datastore"`
		Bytes     int64  `json:"bytes"`
	}
	if err := json.Unmarshal(raw, &wanted); err != nil {
		return nil, err
	}
	datastore := datastoreNamed(wanted.Datastore)
	if datastore == nil {
		return nil, fmt.Errorf("no datastore %q", wanted.Datastore)
	}
	setFree(datastore, wanted.Bytes)
	return nil, nil
}

// setHost changes what is named of the host, and leaves the rest as it was.
func setHost(s *simulation, raw json.RawMessage) (interface{}, error) {
	wanted := struct {
		Restricted *bool  `json:"restricted"`
		PageLimit  *int   `json:"page_limit"`
		Product    string `json:"product"`
		Version    string `json:"version"`
		APIVersion string `json:"api_version"`
	}{}
	if err := json.Unmarshal(raw, &wanted); err != nil {
		return nil, err
	}
	if wanted.Restricted != nil {
		s.host.restricted = *wanted.Restricted
	}
	if wanted.PageLimit != nil {
		s.host.pageLimit = *wanted.PageLimit
	}
	about := &serviceContent().About
	if wanted.Product != "" {
		about.ProductLineId = wanted.Product
		about.Name = map[string]string{
			"esx": "VMware ESX", "embeddedEsx": "VMware ESXi", "vpx": "VMware vCenter Server",
		}[wanted.Product]
	}
	if wanted.Version != "" {
		about.Version = wanted.Version
	}
	if wanted.APIVersion != "" {
		about.ApiVersion = wanted.APIVersion
	}
	about.FullName = fmt.Sprintf("%s %s build-%s", about.Name, about.Version, about.Build)
	for _, entity := range simulator.Map.All("HostSystem") {
		if isESX() {
			entity.(*simulator.HostSystem).Config.Product = *about
		}
	}
	return nil, nil
}

// setPowerBehind is a VM going on or off by itself: a crash, a person at the host's console.
func setPowerBehind(s *simulation, raw json.RawMessage) (interface{}, error) {
	var wanted struct {
		State types.VirtualMachinePowerState `json:"state"`
	}
	vm, err := ofMachine(raw, &wanted)
	if err == nil {
		s.setPower(vm, wanted.State)
	}
	return nil, err
}

type keyPress struct {
	Code      int32    `json:"code"`
	Modifiers []string `json:"modifiers"`
}

func showMachine(s *simulation, raw json.RawMessage) (interface{}, error) {
	var nothing struct{}
	vm, err := ofMachine(raw, &nothing)
	if err != nil {
		return nil, err
	}
	behind := s.behind(vm)
	return map[string]interface{}{"boots": behind.boots, "boot": behind.boot, "keys": behind.keys, "answer": behind.answer,
		"host_name": behind.guest.HostName, "screen": screen}, nil
}
