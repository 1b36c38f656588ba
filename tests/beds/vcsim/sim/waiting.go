package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// collectors are the property collectors somebody waits on. The library's own waiting polls four times a second, and
// sees but those changes that its own methods announce; ours compares what a filter finds with what it found before.
type collectors struct {
	filters  map[string]*filter // by the filter's id
	versions map[string]int     // by collector and session
	latest   map[string]string  // likewise: the latest answer, for who did not get it and asks with the version before
	closed   map[string]int     // by collector: how often waiting was cancelled
}

type filter struct {
	collector string
	session   string
	spec      types.PropertyFilterSpec
	seen      map[string]map[string]string // by object, by property: XML
}

func (c *collectors) init() {
	c.filters, c.versions, c.closed = map[string]*filter{}, map[string]int{}, map[string]int{}
	c.latest = map[string]string{}
}

// waits answers methods of waiting collectors; it takes the world's lock only in between.
func (s *simulation) waits(w *counted, c *call) bool {
	switch body := c.body.(type) {
	case *types.WaitForUpdatesEx:
		s.wait(w, c, body)
		return true
	case *types.WaitForUpdates:
		s.wait(w, c, &types.WaitForUpdatesEx{This: body.This, Version: body.Version})
		return true
	}
	return false
}

func init() {
	answers["PropertyCollector.CreateFilter"] = createFilter
	answers["PropertyCollector.CancelWaitForUpdates"] = cancelWait
	answers["PropertyCollector.DestroyPropertyCollector"] = destroyCollector
	answers["PropertyFilter.DestroyPropertyFilter"] = destroyFilter
}

func createFilter(c *call) (interface{}, types.BaseMethodFault) {
	body := c.body.(*types.CreateFilter)
	answer, fault := c.sim.askRaw(c.raw, c.cookie())
	if fault != nil {
		return nil, fault
	}
	ref := types.ManagedObjectReference{
		Type: "PropertyFilter", Value: string(between(answer, `<returnval type="PropertyFilter">`, "</returnval>")),
	}
	f := &filter{collector: c.this.Value, session: c.cookie(), spec: body.Spec, seen: map[string]map[string]string{}}
	if _, fault := c.sim.found(f); fault != nil {
		return nil, fault
	}
	c.sim.waiting.filters[ref.Value] = f
	return &types.CreateFilterResponse{Returnval: ref}, nil
}

func destroyFilter(c *call) (interface{}, types.BaseMethodFault) {
	delete(c.sim.waiting.filters, c.this.Value)
	return nil, nil
}

func destroyCollector(c *call) (interface{}, types.BaseMethodFault) {
	waiting := &c.sim.waiting
	for id, f := range waiting.filters {
		if f.collector == c.this.Value && f.session == c.cookie() {
			delete(waiting.filters, id)
		}
	}
	waiting.closed[c.this.Value]++
	return nil, nil
}

func cancelWait(c *call) (interface{}, types.BaseMethodFault) {
	c.sim.waiting.closed[c.this.Value]++
	return &types.CancelWaitForUpdatesResponse{}, nil
}

// wait answers WaitForUpdatesEx: as soon as there is something new, or with nothing when the time is over.
func (s *simulation) wait(w http.ResponseWriter, c *call, body *types.WaitForUpdatesEx) {
	most, limit := 0, time.Duration(1<<62)
	if body.Options != nil {
		most = int(body.Options.MaxObjectUpdates)
		if body.Options.MaxWaitSeconds != nil {
			limit = time.Duration(*body.Options.MaxWaitSeconds) * time.Second
		}
	}
	ctx, cancel := context.WithTimeout(c.request.Context(), limit)
	defer cancel()
	// Whoever waits on a condition does not see a timeout or a client that hangs up: wake it.
	go func() { <-ctx.Done(); s.world.Lock(); defer s.world.Unlock(); s.changed.Broadcast() }()

	s.world.Lock()
	defer s.world.Unlock()
	key := c.this.Value + " " + c.cookie()
	if body.Version == "" {
		s.forgetSeen(c)
	} else if number, err := strconv.Atoi(body.Version); err != nil || number > s.waiting.versions[key] {
		fault := &types.InvalidCollectorVersion{}
		writeFault(w, message(fault), fault)
		return
	} else if number < s.waiting.versions[key] {
		writeBody(w, http.StatusOK, []byte(s.waiting.latest[key]))
		return
	}
	closed := s.waiting.closed[c.this.Value]
	for {
		updates, truncated, fault := s.updates(c, most)
		switch {
		case fault != nil:
		case !s.sessions.has(c.cookie()):
			fault = &types.NotAuthenticated{}
		case s.waiting.closed[c.this.Value] != closed:
			fault = &types.RequestCanceled{}
		}
		if fault != nil {
			writeFault(w, message(fault), fault)
			return
		}
		if len(updates) > 0 || ctx.Err() != nil {
			var set string // none when the time is over
			if len(updates) > 0 {
				s.waiting.versions[key]++
				set = fmt.Sprintf(`<returnval><version>%d</version>%s<truncated>%t</truncated></returnval>`,
					s.waiting.versions[key], updates, truncated)
			}
			answer := fmt.Sprintf(`<%[1]sResponse xmlns="%[2]s">%[3]s</%[1]sResponse>`, c.method, namespace, set)
			if set != "" {
				s.waiting.latest[key] = answer
			}
			writeBody(w, http.StatusOK, []byte(answer))
			return
		}
		s.changed.Wait()
	}
}

func (s *simulation) filtersOf(c *call) []string {
	var ids []string
	for id, f := range s.waiting.filters {
		if f.collector == c.this.Value && f.session == c.cookie() {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids
}

func (s *simulation) forgetSeen(c *call) {
	for _, id := range s.filtersOf(c) {
		s.waiting.filters[id].seen = map[string]map[string]string{}
	}
}

// updates is the XML of what is new to a collector's filters, of no more than `most` objects unless that is 0.
func (s *simulation) updates(c *call, most int) ([]byte, bool, types.BaseMethodFault) {
	var out bytes.Buffer
	count, truncated := 0, false
	for _, id := range s.filtersOf(c) {
		f := s.waiting.filters[id]
		found, fault := s.found(f)
		if fault != nil {
			return nil, false, fault
		}
		var news bytes.Buffer
		for _, object := range changedObjects(f.seen, found) {
			if most > 0 && count == most {
				truncated = true
				break
			}
			count++
			news.WriteString(object.xml)
			if object.now == nil {
				delete(f.seen, object.ref)
			} else {
				f.seen[object.ref] = object.now
			}
		}
		if news.Len() > 0 {
			fmt.Fprintf(&out, `<filterSet><filter type="PropertyFilter">%s</filter>%s</filterSet>`, id, news.Bytes())
		}
	}
	return out.Bytes(), truncated, nil
}

// found is what a filter finds now: by object, by property.
func (s *simulation) found(f *filter) (map[string]map[string]string, types.BaseMethodFault) {
	spec := f.spec
	spec.ReportMissingObjectsInResults = types.NewBool(true) // gone ones are reported as having left
	data, err := element("RetrievePropertiesEx", &types.RetrievePropertiesEx{
		This: serviceContent().PropertyCollector, SpecSet: []types.PropertyFilterSpec{spec},
	})
	if err != nil {
		return nil, &types.SystemError{Reason: err.Error()}
	}
	objects, fault := s.objects([]byte(opening+string(data)+closing), f.session)
	if fault != nil {
		return nil, fault
	}
	found := map[string]map[string]string{}
	for _, object := range objects {
		ref, properties := parsed(object)
		found[ref] = properties
	}
	return found, nil
}
