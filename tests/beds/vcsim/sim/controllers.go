package main

import (
	"fmt"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// bus is what all controllers of a kind have in common.
type bus struct {
	kind     string
	key      int32 // of controller 0
	most     int32 // controllers
	places   int32 // on one
	reserved int32 // the place that the controller itself takes; -1 for none
	devices  int32 // key of the first place of controller 0
}

var (
	ide  = bus{"IDE", 200, 2, 2, -1, 3000}
	scsi = bus{"SCSI", 1000, 4, 16, 7, 2000}
	sata = bus{"SATA", 15000, 4, 30, -1, 16000}
	nvme = bus{"NVMe", 31000, 4, 15, -1, 32000}
)

func busOf(controller types.BaseVirtualDevice) (bus, bool) {
	switch controller.(type) {
	case *types.VirtualIDEController:
		return ide, true
	case types.BaseVirtualSCSIController:
		return scsi, true
	case types.BaseVirtualSATAController:
		return sata, true
	case *types.VirtualNVMEController:
		return nvme, true
	}
	return bus{}, false
}

// isBase tells whether every VM has such a controller from the beginning.
func isBase(device types.BaseVirtualDevice) bool {
	switch device.(type) {
	case *types.VirtualIDEController, *types.VirtualPCIController, *types.VirtualPS2Controller, *types.VirtualSIOController:
		return true
	}
	return false
}

func (e *editor) addController(bad invalidDevice, controller types.BaseVirtualController) types.BaseMethodFault {
	c := controller.GetVirtualController()
	device := controller.(types.BaseVirtualDevice)
	b, known := busOf(device)
	if !known {
		c.Key = e.freeKey(7000) // USB and the like
		return nil
	}
	if c.BusNumber < 0 || c.BusNumber >= b.most || b.kind == ide.kind {
		return bad.spec("deviceChange.device.busNumber")
	}
	if e.find(b.key+c.BusNumber) != nil {
		return bad.spec("deviceChange.device.busNumber")
	}
	c.Key, c.ControllerKey = b.key+c.BusNumber, 100
	if s, ok := controller.(types.BaseVirtualSCSIController); ok {
		s.GetVirtualSCSIController().ScsiCtlrUnitNumber = scsi.reserved
		if s.GetVirtualSCSIController().SharedBus == "" {
			return bad.spec("deviceChange.device.sharedBus")
		}
	}
	return nil
}

// place puts a device on its controller.
func (e *editor) place(bad invalidDevice, device *types.VirtualDevice, allowed ...bus) (bus, types.BaseMethodFault) {
	controller := e.find(device.ControllerKey)
	if controller == nil {
		return bus{}, &types.MissingController{InvalidDeviceSpec: types.InvalidDeviceSpec{DeviceIndex: bad.index}}
	}
	b, ok := busOf(controller)
	if ok {
		ok = false
		for _, each := range allowed {
			ok = ok || each == b
		}
	}
	if !ok || device.UnitNumber == nil {
		return b, bad.spec("deviceChange.device.unitNumber")
	}
	unit := *device.UnitNumber
	if unit < 0 || unit >= b.places || unit == b.reserved {
		return b, bad.spec("deviceChange.device.unitNumber")
	}
	for _, other := range e.on(device.ControllerKey) {
		if number := other.GetVirtualDevice().UnitNumber; number != nil && *number == unit {
			return b, bad.spec("deviceChange.device.unitNumber")
		}
	}
	number := controller.(types.BaseVirtualController).GetVirtualController().BusNumber
	device.Key = b.devices + number*b.places + unit
	return b, nil
}

func label(device types.BaseVirtualDevice) string {
	d := device.GetVirtualDevice()
	number := func(from int32) int32 { return d.Key - from + 1 }
	switch x := device.(type) {
	case *types.VirtualDisk:
		for _, b := range []bus{nvme, sata, ide, scsi} {
			if d.Key >= b.devices {
				return fmt.Sprintf("Hard disk %d", number(b.devices))
			}
		}
	case *types.VirtualCdrom:
		return fmt.Sprintf("CD/DVD drive %d", number(ide.devices))
	case types.BaseVirtualEthernetCard:
		return fmt.Sprintf("Network adapter %d", number(4000))
	case types.BaseVirtualController:
		if b, known := busOf(device); known {
			return fmt.Sprintf("%s controller %d", b.kind, x.GetVirtualController().BusNumber)
		}
	}
	if d.DeviceInfo != nil && d.DeviceInfo.GetDescription().Label != "" {
		return d.DeviceInfo.GetDescription().Label
	}
	return object.VirtualDeviceList{}.Name(device)
}

func summary(device types.BaseVirtualDevice) string {
	switch x := device.(type) {
	case *types.VirtualDisk:
		return fmt.Sprintf("%d KB", x.CapacityInKB)
	case *types.VirtualCdrom:
		if b, ok := x.Backing.(*types.VirtualCdromIsoBackingInfo); ok {
			return "ISO " + b.FileName
		}
	case types.BaseVirtualEthernetCard:
		switch b := x.GetVirtualEthernetCard().Backing.(type) {
		case *types.VirtualEthernetCardNetworkBackingInfo:
			return b.DeviceName
		case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
			return "DVSwitch: " + b.Port.SwitchUuid
		}
	}
	return label(device)
}
