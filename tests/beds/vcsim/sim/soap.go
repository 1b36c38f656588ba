package main

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"

	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

const (
	namespace = "urn:vim25"
	opening   = xml.Header + `<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"` +
		` xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`
	closing = `</soapenv:Body></soapenv:Envelope>`
)

// element is `value` as an element called `name`, in vSphere's namespace.
func element(name string, value interface{}) ([]byte, error) {
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	if err := e.EncodeElement(value, xml.StartElement{Name: xml.Name{Space: namespace, Local: name}}); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Flush()
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(append([]byte(opening), body...), closing...))
}

// writeResponse sends a types.XResponse.
func writeResponse(w http.ResponseWriter, response interface{}) {
	body, err := element(reflect.TypeOf(response).Elem().Name(), response)
	if err != nil {
		writeFault(w, err.Error(), &types.SystemError{Reason: err.Error()})
		return
	}
	writeBody(w, http.StatusOK, body)
}

type soapFault struct {
	XMLName xml.Name    `xml:"soapenv:Fault"`
	Code    string      `xml:"faultcode"`
	String  string      `xml:"faultstring"`
	Detail  faultHolder `xml:"detail"`
}

type faultHolder struct{ fault types.BaseMethodFault }

// MarshalXML names the element after the fault, as vSphere does.
func (h faultHolder) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	name := nameOf(h.fault)
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	inner := xml.StartElement{
		Name: xml.Name{Local: name + "Fault"},
		Attr: []xml.Attr{
			{Name: xml.Name{Local: "xmlns"}, Value: namespace},
			{Name: xml.Name{Local: "xsi:type"}, Value: name},
		},
	}
	if err := e.EncodeElement(h.fault, inner); err != nil {
		return err
	}
	return e.EncodeToken(start.End())
}

func writeFault(w http.ResponseWriter, message string, fault types.BaseMethodFault) {
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	if err := e.Encode(&soapFault{Code: "ServerFaultCode", String: message, Detail: faultHolder{fault}}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeBody(w, http.StatusInternalServerError, out.Bytes())
}

func nameOf(value interface{}) string {
	kind := reflect.TypeOf(value)
	for kind.Kind() == reflect.Ptr {
		kind = kind.Elem()
	}
	return kind.Name()
}

// readFault is the fault in an answer; nil where the answer is none.
func readFault(answer []byte) types.BaseMethodFault {
	var body struct{ Fault *soap.Fault }
	envelope := soap.Envelope{Body: &body}
	decoder := xml.NewDecoder(bytes.NewReader(answer))
	decoder.TypeFunc = types.TypeFunc()
	if err := decoder.Decode(&envelope); err != nil {
		return &types.SystemError{Reason: err.Error()}
	}
	if body.Fault == nil {
		return nil
	}
	found := body.Fault.VimFault()
	if found != nil {
		value := reflect.New(reflect.TypeOf(found))
		value.Elem().Set(reflect.ValueOf(found))
		if fault, ok := value.Interface().(types.BaseMethodFault); ok {
			return fault
		}
	}
	return &types.SystemError{Reason: fmt.Sprintf("%s (%T)", body.Fault.String, found)}
}

// copied is a deep copy: what is reported now must not change with what happens later.
func copied(from, to interface{}) {
	data, err := element("copy", from)
	if err == nil {
		decoder := xml.NewDecoder(bytes.NewReader(declareTypes(data)))
		decoder.TypeFunc = types.TypeFunc()
		err = decoder.Decode(to)
	}
	if err != nil {
		panic(err)
	}
}

func declareTypes(data []byte) []byte {
	return bytes.Replace(data, []byte("<copy "),
		[]byte(`<copy xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" `), 1)
}
