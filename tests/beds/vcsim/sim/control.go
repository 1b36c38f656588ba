package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
)

// An operation on the simulation that no vSphere has: what tests arrange, and see behind the scenes.
type operation func(s *simulation, arguments json.RawMessage) (interface{}, error)

var operations = map[string]operation{
	"calls":       func(s *simulation, raw json.RawMessage) (interface{}, error) { return s.counts.snapshot(false), nil },
	"reset_calls": func(s *simulation, raw json.RawMessage) (interface{}, error) { return s.counts.snapshot(true), nil },
	"fail": func(s *simulation, raw json.RawMessage) (interface{}, error) {
		r := rule{Method: "*", Count: 1, Status: http.StatusServiceUnavailable}
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, err
		}
		return nil, s.faults.add(r)
	},
	"clear_faults": func(s *simulation, raw json.RawMessage) (interface{}, error) { s.faults.clear(); return nil, nil },
	"expire":       func(s *simulation, raw json.RawMessage) (interface{}, error) { s.sessions.endAll(); return nil, nil },
	"sessions":     func(s *simulation, raw json.RawMessage) (interface{}, error) { return s.sessions.count(), nil },
	"close_idle":   func(s *simulation, raw json.RawMessage) (interface{}, error) { return s.idle.close(), nil },
}

// serveControl serves operations on a port of their own: the path is the operation's name, the body its arguments.
func serveControl(s *simulation) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		do := operations[r.URL.Path[1:]]
		if do == nil {
			http.Error(w, "no operation "+r.URL.Path, http.StatusNotFound)
			return
		}
		var arguments json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&arguments); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		result, err := s.operate(do, arguments)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(result)
	})
	go func() { _ = http.Serve(listener, handler) }()
	return fmt.Sprintf("http://%s", listener.Addr()), nil
}

func (s *simulation) operate(do operation, arguments json.RawMessage) (interface{}, error) {
	s.world.Lock()
	defer s.world.Unlock()
	defer s.changed.Broadcast()
	return do(s, arguments)
}
