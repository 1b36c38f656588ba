package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
)

// counts is what has gone over the wire.
type counts struct {
	m        sync.Mutex
	Methods  map[string]int `json:"methods"`
	Requests int            `json:"requests"`
	Received int            `json:"received"`
	Sent     int            `json:"sent"`
}

func (c *counts) init() { c.Methods = map[string]int{} }

func (c *counts) request(method string, size int) {
	c.m.Lock()
	defer c.m.Unlock()
	c.Methods[method]++
	c.Requests++
	c.Received += size
}

func (c *counts) received(size int) {
	c.m.Lock()
	defer c.m.Unlock()
	c.Received += size
}

func (c *counts) sent(size int) {
	c.m.Lock()
	defer c.m.Unlock()
	c.Sent += size
}

func (c *counts) snapshot(reset bool) map[string]interface{} {
	c.m.Lock()
	defer c.m.Unlock()
	methods := map[string]int{}
	for name, n := range c.Methods {
		methods[name] = n
	}
	seen := map[string]interface{}{
		"methods": methods, "requests": c.Requests, "received": c.Received, "sent": c.Sent,
	}
	if reset {
		c.Methods, c.Requests, c.Received, c.Sent = map[string]int{}, 0, 0, 0
	}
	return seen
}

type counted struct {
	http.ResponseWriter
	counts *counts
}

func (w *counted) Write(data []byte) (int, error) {
	w.counts.sent(len(data))
	return w.ResponseWriter.Write(data)
}

func newDiscard() http.ResponseWriter { return httptest.NewRecorder() }

// connections knows which of the clients' connections wait for a request.
type connections struct {
	m    sync.Mutex
	idle map[net.Conn]bool
}

func (k *connections) follow(server *http.Server) {
	k.idle = map[net.Conn]bool{}
	next := server.ConnState
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		k.m.Lock()
		if state == http.StateIdle {
			k.idle[conn] = true
		} else {
			delete(k.idle, conn)
		}
		k.m.Unlock()
		if next != nil {
			next(conn, state)
		}
	}
}

func (k *connections) close() int {
	k.m.Lock()
	defer k.m.Unlock()
	for conn := range k.idle {
		_ = conn.Close()
	}
	return len(k.idle)
}
