package main

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"regexp"

	"github.com/vmware/govmomi/vim25/types"
)

// pages that were promised to clients by a token.
type pages struct {
	next int
	rest map[string]*rest
}

type rest struct {
	session string
	objects [][]byte
	size    int
}

func (p *pages) init() { p.rest = map[string]*rest{} }

var (
	invalid     = regexp.MustCompile(`<missingSet><path>([^<]*)</path><fault><fault [^>]*type="InvalidProperty"`)
	objectsEnds = []byte("</objects><objects>")
)

// paged answers what reads properties: by pages, with a fault for a property that no such object has, and without
// falling over one that is not set.
func (s *simulation) paged(w http.ResponseWriter, c *call) bool {
	if c.this.Type != "PropertyCollector" && c.method != "Fetch" {
		return false
	}
	switch body := c.body.(type) {
	case *types.RetrievePropertiesEx:
		size := int(body.Options.MaxObjects)
		objects, fault := s.objects(c.raw, c.cookie())
		if fault != nil {
			writeFault(w, message(fault), fault)
			return true
		}
		s.writePage(w, c.method, &rest{session: c.cookie(), objects: objects, size: s.pageSize(size)})
	case *types.ContinueRetrievePropertiesEx:
		next := s.pages.rest[body.Token]
		if next == nil || next.session != c.cookie() {
			fault := &types.InvalidArgument{InvalidProperty: "token"}
			writeFault(w, message(fault), fault)
			return true
		}
		delete(s.pages.rest, body.Token)
		s.writePage(w, c.method, next)
	case *types.CancelRetrievePropertiesEx:
		if s.pages.rest[body.Token] == nil {
			fault := &types.InvalidArgument{InvalidProperty: "token"}
			writeFault(w, message(fault), fault)
			return true
		}
		delete(s.pages.rest, body.Token)
		writeResponse(w, &types.CancelRetrievePropertiesExResponse{})
	default:
		if c.method != "Fetch" {
			return false
		}
		s.fetch(w, c)
	}
	return true
}

// objects is the XML of each object found.
func (s *simulation) objects(envelope []byte, session string) ([][]byte, types.BaseMethodFault) {
	keyed, envelope := keyedIn(envelope)
	answer, fault := s.askRaw(envelope, session)
	if fault != nil {
		return nil, fault
	}
	if found := invalid.FindSubmatch(answer); found != nil {
		return nil, &types.InvalidProperty{Name: string(found[1])}
	}
	start, end := bytes.Index(answer, []byte("<objects>")), bytes.LastIndex(answer, []byte("</objects>"))
	if start < 0 {
		return nil, nil
	}
	objects := bytes.Split(answer[start+len("<objects>"):end], objectsEnds)
	for i := range objects {
		objects[i] = keyed.cut(objects[i])
	}
	return objects, nil
}

// pageSize is the smaller of what the client and the host (by its own policy) want in a page.
func (s *simulation) pageSize(wanted int) int {
	if limit := s.host.pageLimit; limit > 0 && (wanted == 0 || limit < wanted) {
		return limit
	}
	return wanted
}

func (s *simulation) writePage(w http.ResponseWriter, method string, page *rest) {
	var out bytes.Buffer
	fmt.Fprintf(&out, `<%sResponse xmlns="%s">`, method, namespace)
	now := page.objects
	if page.size > 0 && len(now) > page.size {
		now = now[:page.size]
	}
	if len(now) > 0 { // nothing found is an unset answer
		out.WriteString("<returnval>")
		if len(now) < len(page.objects) {
			s.pages.next++
			token := fmt.Sprint(s.pages.next)
			s.pages.rest[token] = &rest{session: page.session, objects: page.objects[len(now):], size: page.size}
			out.WriteString("<token>" + token + "</token>")
		}
		for _, object := range now {
			out.WriteString("<objects>")
			out.Write(object)
			out.WriteString("</objects>")
		}
		out.WriteString("</returnval>")
	}
	fmt.Fprintf(&out, `</%sResponse>`, method)
	writeBody(w, http.StatusOK, out.Bytes())
}

var value = regexp.MustCompile(`(?s)<val(.*)</val></propSet>$`)

// fetch reads one property of one object, the way that clients read an attribute.
func (s *simulation) fetch(w http.ResponseWriter, c *call) {
	property := reflect.ValueOf(c.body).Elem().FieldByName("Prop").String()
	if c.this.Type == "ServiceInstance" {
		s.passOn(w, c)
		return
	}
	data, err := element("RetrievePropertiesEx", &types.RetrievePropertiesEx{
		This: serviceContent().PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{
			PropSet:   []types.PropertySpec{{Type: c.this.Type, PathSet: []string{property}}},
			ObjectSet: []types.ObjectSpec{{Obj: c.this}},
		}},
	})
	if err != nil {
		writeFault(w, err.Error(), &types.SystemError{Reason: err.Error()})
		return
	}
	objects, fault := s.objects([]byte(opening+string(data)+closing), c.cookie())
	if fault != nil {
		writeFault(w, message(fault), fault)
		return
	}
	var inner string
	if len(objects) == 1 {
		if found := value.FindSubmatch(objects[0]); found != nil {
			inner = "<returnval" + string(found[1]) + "</returnval>"
		}
	}
	writeBody(w, http.StatusOK, []byte(`<FetchResponse xmlns="`+namespace+`">`+inner+`</FetchResponse>`))
}
