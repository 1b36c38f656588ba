package main

import (
	"io"
	"net/http"
	"os"
	"strings"
)

// serveFile is a datastore's files over HTTP: /folder/PATH?dcPath=DATACENTER&dsName=DATASTORE.
func (s *simulation) serveFile(w *counted, r *http.Request) {
	c := &call{sim: s, method: "HTTP " + r.Method, request: r}
	s.counts.request(c.method, 0)
	switch rule := s.faults.take(c.method); rule.Kind {
	case "drop":
		hangUp(w)
		return
	case "http":
		http.Error(w, "injected", rule.Status)
		return
	case "expire":
		s.sessions.end(c.cookie())
	}
	if !s.sessions.has(c.cookie()) {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		http.Error(w, "not authenticated", http.StatusUnauthorized)
		return
	}
	s.world.Lock()
	where, fault := located("[" + r.URL.Query().Get("dsName") + "] " + strings.TrimPrefix(r.URL.Path, "/folder/"))
	s.world.Unlock()
	if fault != nil || where.Path == "" {
		http.Error(w, "no such datastore or file", http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.download(w, r, where)
	case http.MethodPut, http.MethodPost:
		s.upload(w, r, where)
	default:
		http.Error(w, "not allowed", http.StatusMethodNotAllowed)
	}
}

func (s *simulation) download(w *counted, r *http.Request, where file) {
	if !where.exists() {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeFile(w, r, where.real)
}

// upload writes a file anew. What arrives only in part stays, as it does in a real datastore.
func (s *simulation) upload(w *counted, r *http.Request, where file) {
	if s.host.restricted {
		http.Error(w, "the licence forbids it", http.StatusForbidden)
		return
	}
	var before int64
	if info, err := os.Stat(where.real); err == nil {
		if info.IsDir() {
			http.Error(w, "a directory", http.StatusInternalServerError)
			return
		}
		before = info.Size()
	}
	s.world.Lock()
	fault := charge(where.datastore, r.ContentLength-before)
	s.world.Unlock()
	if fault != nil {
		http.Error(w, message(fault), http.StatusInsufficientStorage)
		return
	}
	out, err := os.Create(where.real)
	if err != nil {
		http.Error(w, "no such directory", http.StatusNotFound)
		return
	}
	defer out.Close()
	n, err := io.Copy(out, r.Body)
	s.counts.received(int(n))
	if err != nil {
		return
	}
	status := http.StatusCreated
	if before > 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
}
