package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// call is one method called by the client, decoded.
type call struct {
	sim     *simulation
	method  string
	this    types.ManagedObjectReference
	body    types.AnyType // *types.<Method>RequestType, by its own name
	request *http.Request
	raw     []byte
}

// An answer to a method at once. Nil for both means that the simulator library shall answer.
type answer func(c *call) (response interface{}, fault types.BaseMethodFault)

// Work is what a method's task does.
type work func(c *call) (result types.AnyType, fault types.BaseMethodFault)

var (
	answers = map[string]answer{}
	works   = map[string]work{}
)

// Methods that need no session.
var open = map[string]bool{
	"RetrieveServiceContent": true, "Login": true, "LoginByToken": true, "LoginExtensionByCertificate": true,
	"LoginBySSPI": true, "CloneSession": true, "CurrentTime": true,
}

func (c *call) name() string { return c.this.Type + "." + c.method }

func (c *call) cookie() string {
	if cookie, err := c.request.Cookie(soap.SessionCookieName); err == nil {
		return strings.Trim(cookie.Value, `"`)
	}
	return ""
}

func (s *simulation) answer(w *counted, c *call) {
	if !s.sessions.has(c.cookie()) {
		if !open[c.method] {
			writeFault(w, "The session is not authenticated.", &types.NotAuthenticated{
				NoPermission: types.NoPermission{Object: c.this, PrivilegeId: "System.View"},
			})
			return
		}
		c.request.Header.Del("Cookie") // the library would still know it
	}
	if s.waits(w, c) {
		return
	}
	s.world.Lock()
	defer s.world.Unlock()
	if !reads(c.method) {
		defer s.changed.Broadcast()
	}
	if fault := s.refusal(c); fault != nil {
		writeFault(w, message(fault), fault)
		return
	}
	if s.beginTask(w, c) || s.paged(w, c) {
		return
	}
	if give := answers[c.name()]; give != nil {
		response, fault := give(c)
		if fault != nil {
			writeFault(w, message(fault), fault)
			return
		}
		if response != nil {
			writeResponse(w, response)
			return
		}
	}
	s.passOn(w, c)
}

// passOn lets the library answer, and follows who logs in and out.
func (s *simulation) passOn(w http.ResponseWriter, c *call) {
	s.library.ServeHTTP(w, c.request)
	switch c.method {
	case "Login", "LoginByToken", "LoginExtensionByCertificate", "CloneSession":
		s.sessions.begin(w.Header())
	case "Logout":
		s.sessions.end(c.cookie())
	case "TerminateSession":
		for _, key := range c.body.(*types.TerminateSession).SessionId {
			s.sessions.end(key)
		}
	}
}

// library is what the simulator library answers to this call, whose body may have been changed.
func (c *call) library() ([]byte, types.BaseMethodFault) {
	return c.sim.ask(c.method, c.body, c.sim.sessions.own)
}

func (s *simulation) ask(method string, body types.AnyType, session string) ([]byte, types.BaseMethodFault) {
	data, err := element(method, body)
	if err != nil {
		return nil, &types.SystemError{Reason: err.Error()}
	}
	return s.askRaw([]byte(opening+string(data)+closing), session)
}

func (s *simulation) askRaw(envelope []byte, session string) ([]byte, types.BaseMethodFault) {
	request := httptest.NewRequest(http.MethodPost, "/sdk", bytes.NewReader(envelope)).WithContext(context.Background())
	request.AddCookie(&http.Cookie{Name: soap.SessionCookieName, Value: session})
	recorder := httptest.NewRecorder()
	s.library.ServeHTTP(recorder, request)
	answer, _ := io.ReadAll(recorder.Body)
	if recorder.Code != http.StatusOK {
		return nil, readFault(answer)
	}
	return answer, nil
}

// logIn begins our own session, which outlives those of clients.
func (s *simulation) logIn(user *url.Userinfo) {
	password, _ := user.Password()
	data, err := element("Login", &types.Login{
		This: *serviceContent().SessionManager, UserName: user.Username(), Password: password,
	})
	must(err)
	request := httptest.NewRequest(http.MethodPost, "/sdk", strings.NewReader(opening+string(data)+closing))
	recorder := httptest.NewRecorder()
	s.library.ServeHTTP(recorder, request)
	s.sessions.own = s.sessions.begin(recorder.Header())
}

// task is what the library's task for this call comes to.
func (c *call) task() (types.AnyType, types.BaseMethodFault) {
	answer, fault := c.library()
	if fault != nil {
		return nil, fault
	}
	return outcome(reference(string(between(answer, `<returnval type="Task">`, "</returnval>"))))
}

func reference(task string) types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Task", Value: task}
}

func outcome(ref types.ManagedObjectReference) (types.AnyType, types.BaseMethodFault) {
	task, ok := simulator.Map.Get(ref).(*simulator.Task)
	if !ok {
		return nil, &types.SystemError{Reason: "the library made no task"}
	}
	simulator.Map.Remove(ref) // the client sees ours
	if task.Info.Error != nil {
		return nil, task.Info.Error.Fault
	}
	return task.Info.Result, nil
}

func between(text []byte, start, end string) []byte {
	i := bytes.Index(text, []byte(start))
	if i < 0 {
		return nil
	}
	rest := text[i+len(start):]
	if j := bytes.Index(rest, []byte(end)); j >= 0 {
		return rest[:j]
	}
	return nil
}
