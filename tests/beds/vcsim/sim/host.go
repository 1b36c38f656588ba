package main

import (
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// hostSettings is what tests may set of the whole host.
type hostSettings struct {
	restricted bool // a free licence: reads only
	pageLimit  int  // most objects in a page, by the host's policy; 0 for none
}

// refusal is why this call is not even begun.
func (s *simulation) refusal(c *call) types.BaseMethodFault {
	if s.host.restricted && changes(c.method) {
		return &types.RestrictedVersion{}
	}
	return nil
}

var reading = []string{
	"Retrieve", "Query", "Find", "Fetch", "Continue", "CancelRetrieve", "CancelWait", "Wait", "Log", "CreateFilter",
	"CreateContainerView", "CreateListView", "CreatePropertyCollector", "Destroy", "Modify", "Search", "Current", "Session",
	"CreateCollector", "Read", "Rewind", "Reset", "SetCollector", "Acquire", "Clone", "Refresh", "Validate", "Check",
}

// changes tells whether a method would change the host, as far as a restricted licence is concerned.
func changes(method string) bool {
	switch method {
	case "Destroy_Task", "ResetVM_Task", "ResetGuest", "CloneVM_Task", "RefreshStorageSystem":
		return true
	}
	for _, prefix := range reading {
		if strings.HasPrefix(method, prefix) {
			return false
		}
	}
	return true
}

// reads tells of methods that certainly change nothing, so that nobody who waits for changes need look.
func reads(method string) bool {
	for _, prefix := range []string{"Retrieve", "Continue", "Fetch", "Query", "Find"} {
		if strings.HasPrefix(method, prefix) {
			return true
		}
	}
	return false
}
