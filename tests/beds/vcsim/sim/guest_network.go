package main

import (
	"net"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const prefixLength = 24

// reportedCards is the guest's network as Tools see it.
func reportedCards(vm *simulator.VirtualMachine, g guest) ([]types.GuestNicInfo, []types.GuestStackInfo) {
	byCard := map[int][]string{}
	for _, text := range g.Addresses {
		card, address := 0, text
		if number, rest, ok := strings.Cut(text, "@"); ok {
			if n, err := strconv.Atoi(number); err == nil {
				card, address = n, rest
			}
		}
		byCard[card] = append(byCard[card], address)
	}
	var cards []types.GuestNicInfo
	for _, device := range vm.Config.Hardware.Device {
		card, ok := device.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		c := card.GetVirtualEthernetCard()
		addresses := byCard[len(cards)]
		info := types.GuestNicInfo{
			MacAddress: c.MacAddress, DeviceConfigId: c.Key, Connected: c.Connectable != nil && c.Connectable.Connected,
			IpAddress: addresses, IpConfig: &types.NetIpConfigInfo{},
		}
		if ref := networkOf(card); ref != nil {
			info.Network = networkName(*ref)
		}
		for _, address := range addresses {
			length := int32(prefixLength)
			if ip := net.ParseIP(address); ip != nil && ip.To4() == nil {
				length = 64
			}
			info.IpConfig.IpAddress = append(info.IpConfig.IpAddress, types.NetIpConfigInfoIpAddress{
				IpAddress: address, PrefixLength: length, State: "preferred",
			})
		}
		cards = append(cards, info)
	}
	stack := types.GuestStackInfo{DnsConfig: &types.NetDnsConfigInfo{HostName: g.HostName}}
	return cards, []types.GuestStackInfo{stack}
}
