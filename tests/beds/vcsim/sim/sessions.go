package main

import (
	"net/http"
	"sync"

	"github.com/vmware/govmomi/vim25/soap"
)

// sessions that the server still knows. The simulator's own never end; these can.
type sessions struct {
	m     sync.Mutex
	alive map[string]bool
	own   string // ours, for what outlives its caller
}

func (s *sessions) init() { s.alive = map[string]bool{} }

func (s *sessions) begin(header http.Header) string {
	response := http.Response{Header: header}
	for _, cookie := range response.Cookies() {
		if cookie.Name == soap.SessionCookieName {
			s.m.Lock()
			s.alive[cookie.Value] = true
			s.m.Unlock()
			return cookie.Value
		}
	}
	return ""
}

func (s *sessions) has(key string) bool {
	s.m.Lock()
	defer s.m.Unlock()
	return s.alive[key]
}

func (s *sessions) end(key string) {
	s.m.Lock()
	defer s.m.Unlock()
	delete(s.alive, key)
}

func (s *sessions) endAll() {
	s.m.Lock()
	defer s.m.Unlock()
	s.alive = map[string]bool{s.own: true}
}

func (s *sessions) count() int {
	s.m.Lock()
	defer s.m.Unlock()
	return len(s.alive) - 1 // ours
}
