package main

import (
	"context"
	"reflect"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// post tells of events that concern a VM.
func (s *simulation) post(vm *simulator.VirtualMachine, events ...types.BaseEvent) {
	subject := types.Event{
		Vm: &types.VmEventArgument{EntityEventArgument: types.EntityEventArgument{Name: vm.Name}, Vm: vm.Self},
	}
	if datacenter := datacenterOf(vm); datacenter != nil {
		subject.Datacenter = &types.DatacenterEventArgument{
			EntityEventArgument: types.EntityEventArgument{Name: datacenter.Name}, Datacenter: datacenter.Self,
		}
	}
	if vm.Runtime.Host != nil {
		subject.Host = &types.HostEventArgument{
			EntityEventArgument: types.EntityEventArgument{Name: nameOfEntity(*vm.Runtime.Host)}, Host: *vm.Runtime.Host,
		}
	}
	session := &simulator.Session{UserSession: types.UserSession{UserName: "root"}}
	ctx := &simulator.Context{Context: context.Background(), Session: session, Map: simulator.Map}
	manager := simulator.Map.EventManager()
	for _, event := range events {
		reflect.ValueOf(event).Elem().FieldByName("Event").Set(reflect.ValueOf(subject))
		simulator.Map.WithLock(manager, func() { manager.PostEvent(ctx, &types.PostEvent{EventToPost: event}) })
	}
}
