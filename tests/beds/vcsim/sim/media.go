package main

import (
	"bytes"
	"crypto/rand"
	"net"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *editor) addCdrom(bad invalidDevice, drive *types.VirtualCdrom) types.BaseMethodFault {
	if e.running() {
		return bad.operation(types.VirtualDeviceConfigSpecOperationAdd)
	}
	if _, fault := e.place(bad, &drive.VirtualDevice, ide, sata); fault != nil {
		return fault
	}
	if drive.Connectable == nil {
		drive.Connectable = &types.VirtualDeviceConnectInfo{AllowGuestControl: true}
	}
	return checkISO(drive.Backing)
}

func (e *editor) alterCdrom(bad invalidDevice, present *types.VirtualCdrom, wanted types.BaseVirtualDevice) (types.BaseVirtualDevice, types.BaseMethodFault) {
	drive, ok := wanted.(*types.VirtualCdrom)
	if !ok {
		return nil, bad.spec("deviceChange.device")
	}
	changed := *present
	if drive.Connectable != nil {
		changed.Connectable = drive.Connectable
	}
	if drive.Backing == nil {
		return &changed, nil
	}
	changed.Backing = drive.Backing
	return &changed, checkISO(changed.Backing)
}

func checkISO(backing types.BaseVirtualDeviceBackingInfo) types.BaseMethodFault {
	iso, ok := backing.(*types.VirtualCdromIsoBackingInfo)
	if !ok {
		return nil
	}
	where, fault := located(iso.FileName)
	if fault == nil && !where.exists() {
		fault = notFound(where)
	}
	if fault == nil {
		iso.Datastore = &where.datastore.Self
	}
	return fault
}

const (
	firstCard = 4000
	mostCards = 10
)

func (e *editor) cards() int {
	n := 0
	for _, device := range e.devices {
		if _, ok := device.(types.BaseVirtualEthernetCard); ok {
			n++
		}
	}
	return n
}

func (e *editor) addCard(bad invalidDevice, device types.BaseVirtualEthernetCard) types.BaseMethodFault {
	card := device.GetVirtualEthernetCard()
	if e.cards() >= mostCards {
		return &types.TooManyDevices{}
	}
	if fault := e.connect(bad, card); fault != nil {
		return fault
	}
	if fault := e.address(bad, card); fault != nil {
		return fault
	}
	card.Key, card.ControllerKey = e.freeKey(firstCard), 100
	unit := card.Key - firstCard + 7
	card.UnitNumber = &unit
	if card.Connectable == nil {
		card.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, AllowGuestControl: true}
	}
	if e.vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		card.Connectable.Connected = false
	}
	if card.WakeOnLanEnabled == nil {
		card.WakeOnLanEnabled = types.NewBool(true)
	}
	return nil
}

func (e *editor) alterCard(bad invalidDevice, present types.BaseVirtualEthernetCard, wanted types.BaseVirtualDevice) (types.BaseVirtualDevice, types.BaseMethodFault) {
	device, ok := wanted.(types.BaseVirtualEthernetCard)
	if !ok || nameOf(present) != nameOf(wanted) {
		return nil, bad.spec("deviceChange.device")
	}
	before, card := present.GetVirtualEthernetCard(), device.GetVirtualEthernetCard()
	card.ControllerKey, card.UnitNumber = before.ControllerKey, before.UnitNumber
	if card.Backing == nil {
		card.Backing = before.Backing
	}
	if card.Connectable == nil {
		card.Connectable = before.Connectable
	}
	if card.WakeOnLanEnabled == nil {
		card.WakeOnLanEnabled = before.WakeOnLanEnabled
	}
	if card.MacAddress == "" && card.AddressType == "" {
		card.MacAddress, card.AddressType = before.MacAddress, before.AddressType
	}
	if e.running() && card.MacAddress != before.MacAddress {
		return nil, bad.operation(types.VirtualDeviceConfigSpecOperationEdit)
	}
	if fault := e.connect(bad, card); fault != nil {
		return nil, fault
	}
	return wanted, e.address(bad, card)
}

// connect checks a card's network, and fills in what the server knows of it.
func (e *editor) connect(bad invalidDevice, card *types.VirtualEthernetCard) types.BaseMethodFault {
	switch backing := card.Backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		for _, network := range networksOf(e.vm) {
			if network.Type == "Network" && networkName(network) == backing.DeviceName {
				ref := network
				backing.Network = &ref
				return nil
			}
		}
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		for _, entity := range simulator.Map.All("DistributedVirtualPortgroup") {
			group := entity.(*simulator.DistributedVirtualPortgroup)
			if group.Key != backing.Port.PortgroupKey {
				continue
			}
			dvs, _ := simulator.Map.Get(*group.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
			if dvs != nil && dvs.Uuid == backing.Port.SwitchUuid {
				return nil
			}
		}
	}
	return bad.spec("deviceChange.device.backing")
}

var vmwareOUI = []byte{0x00, 0x50, 0x56}

// address checks a card's MAC address, or makes one.
func (e *editor) address(bad invalidDevice, card *types.VirtualEthernetCard) types.BaseMethodFault {
	if card.AddressType == "" {
		card.AddressType = string(types.VirtualEthernetCardMacTypeGenerated)
		if card.MacAddress != "" {
			card.AddressType = string(types.VirtualEthernetCardMacTypeManual)
		} else if !isESX() {
			card.AddressType = string(types.VirtualEthernetCardMacTypeAssigned)
		}
	}
	if card.MacAddress == "" {
		if card.AddressType == string(types.VirtualEthernetCardMacTypeManual) {
			return bad.spec("deviceChange.device.macAddress")
		}
		card.MacAddress = newMAC()
		return nil
	}
	mac, err := net.ParseMAC(card.MacAddress)
	if err != nil || len(mac) != 6 || mac[0]&1 == 1 {
		return bad.spec("deviceChange.device.macAddress")
	}
	manual := card.AddressType == string(types.VirtualEthernetCardMacTypeManual)
	if manual && bytes.HasPrefix(mac, vmwareOUI) && mac[3] > 0x3f {
		return bad.spec("deviceChange.device.macAddress") // vCenter's and the hosts' own range
	}
	card.MacAddress = mac.String()
	return nil
}

// newMAC is of the range that hosts (00:0c:29) or vCenters (00:50:56:80 and up) make theirs from.
func newMAC() string {
	mac := net.HardwareAddr{0x00, 0x0c, 0x29, 0, 0, 0}
	_, _ = rand.Read(mac[3:])
	if !isESX() {
		copy(mac, vmwareOUI)
		mac[3] = 0x80 | mac[3]&0x3f
	}
	return mac.String()
}
