package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	answers["Task.CancelTask"] = cancelTask
}

// beginTask answers a method that begins a task, as far as it is ours or something is to go wrong with it.
func (s *simulation) beginTask(w http.ResponseWriter, c *call) bool {
	if !strings.HasSuffix(c.method, "_Task") {
		return false
	}
	do := works[c.name()]
	rule := s.faults.takeOfTask(c.method)
	if do == nil {
		do = (*call).task
	}
	if rule.Kind == "task_fault" {
		do = func(*call) (types.AnyType, types.BaseMethodFault) {
			fault, _ := faultNamed(rule.Fault) // it is one: see faults.add
			return nil, fault
		}
	}
	task := newTask(c.subject(), strings.TrimSuffix(c.method, "_Task"))
	if rule.Kind == "slow" {
		s.runSlowly(task, rule.Seconds, func() (types.AnyType, types.BaseMethodFault) { return do(c) })
	} else {
		finish(task, func() (types.AnyType, types.BaseMethodFault) { return do(c) })
	}
	body := `<` + c.method + `Response xmlns="` + namespace + `"><returnval type="Task">` + task.Self.Value +
		`</returnval></` + c.method + `Response>`
	writeBody(w, http.StatusOK, []byte(body))
	return true
}

// subject is the entity that the call's task is about; of a snapshot's it is the VM, of a manager's none.
func (c *call) subject() *types.ManagedObjectReference {
	switch c.this.Type {
	case "VirtualMachineSnapshot":
		if snapshot, ok := simulator.Map.Get(c.this).(*simulator.VirtualMachineSnapshot); ok {
			return &snapshot.Vm
		}
	case "VirtualMachine", "Folder", "HostSystem", "Datacenter", "ResourcePool", "VirtualApp", "ComputeResource",
		"ClusterComputeResource", "Datastore", "VmwareDistributedVirtualSwitch", "DistributedVirtualPortgroup":
		return &c.this
	}
	return nil
}

func newTask(subject *types.ManagedObjectReference, name string) *simulator.Task {
	root := simulator.Map.Get(serviceContent().RootFolder)
	task := simulator.CreateTask(root, strings.ToLower(name[:1])+name[1:], nil)
	kind := "Folder"
	task.Info.Entity, task.Info.EntityName = subject, ""
	if subject != nil {
		kind = subject.Type
		task.Info.EntityName = nameOfEntity(*subject)
	}
	task.Info.DescriptionId = kind + "." + strings.ToLower(name[:1]) + name[1:]
	return task
}

func started(task *simulator.Task, cancelable bool) {
	simulator.Map.Update(task, []types.PropertyChange{
		{Name: "info.startTime", Val: time.Now()},
		{Name: "info.state", Val: types.TaskInfoStateRunning},
		{Name: "info.cancelable", Val: cancelable},
	})
}

// finish runs a task's work, and says in the task how that went.
func finish(task *simulator.Task, do func() (types.AnyType, types.BaseMethodFault)) {
	started(task, false)
	result, fault := do()
	changes := []types.PropertyChange{
		{Name: "info.completeTime", Val: time.Now()},
		{Name: "info.state", Val: types.TaskInfoStateSuccess},
		{Name: "info.result", Val: result},
	}
	if fault != nil {
		changes[1].Val = types.TaskInfoStateError
		changes[2] = types.PropertyChange{Name: "info.error", Val: types.LocalizedMethodFault{
			Fault: fault, LocalizedMessage: message(fault),
		}}
	}
	simulator.Map.Update(task, changes)
}

const progressSteps = 10

// runSlowly leaves a task running for a time, with progress, and does its work at the end, unless it is cancelled.
func (s *simulation) runSlowly(task *simulator.Task, duration float64, do func() (types.AnyType, types.BaseMethodFault)) {
	started(task, true)
	canceled := make(chan struct{})
	s.canceled[task.Self] = canceled
	go func() {
		for step := 1; step <= progressSteps; step++ {
			select {
			case <-canceled:
				step = progressSteps
			case <-time.After(seconds(duration / progressSteps)):
			}
			s.later(0, func() { task.Info.Progress = int32(step * 100 / (progressSteps + 1)) })
		}
		s.later(0, func() {
			select {
			case <-canceled:
				do = func() (types.AnyType, types.BaseMethodFault) { return nil, &types.RequestCanceled{} }
			default:
			}
			delete(s.canceled, task.Self)
			finish(task, do)
		})
	}()
}

// later does something to the inventory after a time, without anybody asking.
func (s *simulation) later(after float64, do func()) {
	time.Sleep(seconds(after))
	s.world.Lock()
	defer s.world.Unlock()
	defer s.changed.Broadcast()
	do()
}

func cancelTask(c *call) (interface{}, types.BaseMethodFault) {
	task, ok := simulator.Map.Get(c.this).(*simulator.Task)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	canceled := c.sim.canceled[c.this]
	switch {
	case task.Info.State == types.TaskInfoStateSuccess || task.Info.State == types.TaskInfoStateError || task.Info.Cancelled:
		return nil, &types.InvalidState{}
	case canceled == nil:
		return nil, &types.NotSupported{}
	}
	task.Info.Cancelled = true
	close(canceled)
	return &types.CancelTaskResponse{}, nil
}
