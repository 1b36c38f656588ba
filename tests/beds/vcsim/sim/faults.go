package main

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

// rule is something that goes wrong: `Count` times (for ever, where negative), after `Skip` calls of `Method` went well.
type rule struct {
	Method  string  `json:"method"` // "*" is every one
	Kind    string  `json:"kind"`   // drop, lose_answer, http, delay, expire, fault; of a task also task_fault and slow
	Count   int     `json:"count"`
	Skip    int     `json:"skip"`
	Seconds float64 `json:"seconds"`
	Status  int     `json:"status"`
	Fault   string  `json:"fault"`
}

func (r rule) ofTask() bool { return r.Kind == "slow" || r.Kind == "task_fault" }

type faults struct {
	m     sync.Mutex
	rules []*rule
}

func (f *faults) add(r rule) error {
	if r.Kind == "fault" || r.Kind == "task_fault" {
		if _, err := faultNamed(r.Fault); err != nil {
			return err
		}
	}
	f.m.Lock()
	defer f.m.Unlock()
	f.rules = append(f.rules, &r)
	return nil
}

func (f *faults) clear() {
	f.m.Lock()
	defer f.m.Unlock()
	f.rules = nil
}

// take is the rule that holds for this call of a method, and takes note that it held; an empty one where none does.
func (f *faults) take(method string) rule { return f.first(method, false) }

// takeOfTask is the same for the task which the method begins.
func (f *faults) takeOfTask(method string) rule { return f.first(method, true) }

func (f *faults) first(method string, ofTask bool) rule {
	f.m.Lock()
	defer f.m.Unlock()
	for _, r := range f.rules {
		if (r.Method != method && r.Method != "*") || r.ofTask() != ofTask || r.Count == 0 {
			continue
		}
		if r.Skip > 0 {
			r.Skip--
			continue
		}
		r.Count--
		return *r
	}
	return rule{}
}

func faultNamed(name string) (types.BaseMethodFault, error) {
	if kind, ok := types.TypeFunc()(name); ok {
		if fault, ok := reflect.New(kind).Interface().(types.BaseMethodFault); ok {
			return fault, nil
		}
	}
	return nil, fmt.Errorf("no fault is called %q", name)
}
