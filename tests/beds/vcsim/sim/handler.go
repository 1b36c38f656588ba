package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// simulation stands between the client and govmomi's simulator: it counts, injects faults, and answers what the
// simulator lacks or gets wrong.
type simulation struct {
	library http.Handler
	world   sync.Mutex // held by whatever reads or changes the inventory; see call.go
	changed *sync.Cond // on world: something may have changed

	sessions sessions
	faults   faults
	counts   counts
	pages    pages
	waiting  collectors
	canceled map[types.ManagedObjectReference]chan struct{} // tasks that still run
	vms      map[types.ManagedObjectReference]*backstage
	host     hostSettings
	events   eventLog
	idle     connections

	questions int              // asked so far
	installed map[string]guest // by the name that disks have it under
}

func newSimulation(server *simulator.Server) *simulation {
	s := &simulation{
		library:  server.Config.Handler,
		canceled: map[types.ManagedObjectReference]chan struct{}{},
		vms:      map[types.ManagedObjectReference]*backstage{},

		installed: map[string]guest{},
	}
	s.changed = sync.NewCond(&s.world)
	s.sessions.init()
	s.counts.init()
	s.pages.init()
	s.waiting.init()
	s.idle.follow(server.Config)
	s.logIn(server.URL.User)
	s.prepareInventory()
	server.Config.Handler = s
	return s
}

func (s *simulation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &counted{ResponseWriter: w, counts: &s.counts}
	if strings.HasPrefix(r.URL.Path, "/folder") {
		s.serveFile(out, r)
		return
	}
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/sdk") {
		s.library.ServeHTTP(out, r)
		return
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	method, err := simulator.UnmarshalBody(types.TypeFunc(), raw)
	if err != nil {
		writeFault(out, "cannot read the request: "+err.Error(), &types.InvalidRequest{})
		return
	}
	s.counts.request(method.Name, len(raw))
	r.Body = io.NopCloser(bytes.NewReader(raw))
	s.serveCall(out, &call{sim: s, method: method.Name, this: method.This, body: method.Body, request: r, raw: raw})
}

func (s *simulation) serveCall(w *counted, c *call) {
	rule := s.faults.take(c.method)
	switch rule.Kind {
	case "drop":
		hangUp(w)
		return
	case "http":
		http.Error(w, "injected", rule.Status)
		return
	case "delay":
		time.Sleep(seconds(rule.Seconds))
	case "expire":
		s.sessions.end(c.cookie())
	case "lose_answer":
		s.answer(&counted{ResponseWriter: newDiscard(), counts: &s.counts}, c)
		hangUp(w)
		return
	case "fault":
		fault, err := faultNamed(rule.Fault)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotImplemented)
			return
		}
		writeFault(w, "injected", fault)
		return
	}
	s.answer(w, c)
}

func hangUp(w *counted) {
	if conn, _, err := w.ResponseWriter.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }
