package main

import (
	"reflect"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const mostEvents = 1000

func init() {
	answers["EventManager.QueryEvents"] = queryEvents
}

// eventLog keeps every event, the library's too: it listens to a collector that collects them all.
type eventLog struct {
	collector types.ManagedObjectReference
	events    []types.BaseEvent
}

func (s *simulation) logEvents() {
	s.events.collector = types.ManagedObjectReference{Type: "EventHistoryCollector"}
	answer, fault := s.ask("CreateCollectorForEvents", &types.CreateCollectorForEvents{
		This: *serviceContent().EventManager, Filter: types.EventFilterSpec{MaxCount: 1},
	}, s.sessions.own)
	must(asError(fault))
	s.events.collector.Value = string(between(answer, `<returnval type="EventHistoryCollector">`, "</returnval>"))
	simulator.Map.AddHandler(&s.events)
}

func (l *eventLog) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "EventLog", Value: "event-log"}
}

func (*eventLog) PutObject(mo.Reference) {}

func (*eventLog) RemoveObject(types.ManagedObjectReference) {}

func (l *eventLog) UpdateObject(object mo.Reference, changes []types.PropertyChange) {
	if object.Reference() != l.collector || len(changes) == 0 {
		return
	}
	page, ok := changes[0].Val.(*types.ArrayOfEvent)
	if !ok || len(page.Event) == 0 {
		return
	}
	latest := page.Event[0]
	if l.events = append(l.events, latest); len(l.events) > mostEvents {
		l.events = l.events[1:]
	}
	simulator.Map.EventManager().LatestEvent = latest
}

// queryEvents is what happened, the oldest first, as far as a filter lets it through.
func queryEvents(c *call) (interface{}, types.BaseMethodFault) {
	filter := c.body.(*types.QueryEvents).Filter
	response := &types.QueryEventsResponse{}
	for _, event := range c.sim.events.events {
		if passes(event, &filter) {
			response.Returnval = append(response.Returnval, event)
		}
	}
	if most := int(filter.MaxCount); most > 0 && len(response.Returnval) > most {
		response.Returnval = response.Returnval[len(response.Returnval)-most:]
	}
	return response, nil
}

func passes(event types.BaseEvent, filter *types.EventFilterSpec) bool {
	e := event.GetEvent()
	if t := filter.Time; t != nil && (t.BeginTime != nil && e.CreatedTime.Before(*t.BeginTime) ||
		t.EndTime != nil && e.CreatedTime.After(*t.EndTime)) {
		return false
	}
	if chain := filter.EventChainId; chain != 0 && chain != e.ChainId {
		return false
	}
	if about := filter.Entity; about != nil && !concerns(e, about) {
		return false
	}
	if len(filter.EventTypeId) == 0 && len(filter.Type) == 0 {
		return true
	}
	kind := reflect.TypeOf(event).Elem()
	for _, wanted := range append(filter.EventTypeId, filter.Type...) {
		if wanted == kind.Name() || wanted == "vim.event."+kind.Name() {
			return true
		}
		if base, ok := kind.FieldByName(wanted); ok && base.Anonymous {
			return true
		}
	}
	return false
}

func concerns(e *types.Event, about *types.EventFilterSpecByEntity) bool {
	subjects := map[types.ManagedObjectReference]bool{}
	if e.Vm != nil {
		subjects[e.Vm.Vm] = true
	}
	if about.Recursion != types.EventFilterSpecRecursionOptionSelf {
		subjects[serviceContent().RootFolder] = true
		if e.Datacenter != nil {
			subjects[e.Datacenter.Datacenter] = true
		}
		if e.Host != nil {
			subjects[e.Host.Host] = true
		}
		if vm := e.Vm; vm != nil && machine(vm.Vm) != nil {
			for parent := machine(vm.Vm).Parent; parent != nil; {
				subjects[*parent] = true
				entity, ok := simulator.Map.Get(*parent).(mo.Entity)
				if !ok {
					break
				}
				parent = entity.Entity().Parent
			}
		}
	}
	return subjects[about.Entity]
}
