package main

type collectors struct{}

func (c *collectors) init() {}

func (s *simulation) waits(w *counted, c *call) bool {
	switch c.method {
	case "WaitForUpdatesEx", "WaitForUpdates", "CancelWaitForUpdates":
		s.library.ServeHTTP(w, c.request)
		return true
	}
	return false
}
