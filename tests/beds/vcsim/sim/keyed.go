package main

import (
	"html"
	"regexp"
)

// keyed is a path that names one item of an array by its key, as hosts serve it and the library does not:
// config.extraConfig["guestinfo.x"]. It is asked for the whole array instead, of which the item is cut out.
type keyed struct {
	key  string
	item *regexp.Regexp
}

var (
	keyedPath = regexp.MustCompile(`<pathSet>config\.extraConfig\[(?:"|&quot;|&#34;)([^<]*?)(?:"|&quot;|&#34;)\]</pathSet>`)
	array     = regexp.MustCompile(`(?s)<propSet><name>config\.extraConfig</name><val ([^>]*)"ArrayOfOptionValue">.*?</val></propSet>`)
)

// keyedIn is the one that a request has, if it has one, and the request that the library understands.
func keyedIn(envelope []byte) (*keyed, []byte) {
	found := keyedPath.FindSubmatch(envelope)
	if found == nil {
		return nil, envelope
	}
	key := string(found[1])
	return &keyed{
		key:  key,
		item: regexp.MustCompile(`(?s)<OptionValue [^>]*>(<key>` + regexp.QuoteMeta(key) + `</key>.*?)</OptionValue>`),
	}, keyedPath.ReplaceAll(envelope, []byte("<pathSet>config.extraConfig</pathSet>"))
}

// cut leaves of an object's array the item alone, or nothing if the array has no such item.
func (k *keyed) cut(object []byte) []byte {
	if k == nil {
		return object
	}
	return array.ReplaceAllFunc(object, func(property []byte) []byte {
		item := k.item.FindSubmatch(property)
		if item == nil {
			return nil
		}
		attributes := string(array.FindSubmatch(property)[1])
		name := `config.extraConfig["` + html.UnescapeString(k.key) + `"]`
		return []byte(`<propSet><name>` + html.EscapeString(name) + `</name><val ` + attributes + `"OptionValue">` + string(item[1]) + `</val></propSet>`)
	})
}
