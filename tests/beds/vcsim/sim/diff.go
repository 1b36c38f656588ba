package main

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
)

// parsed takes the XML of an object's content apart: its reference, and each property's value, all as XML.
func parsed(object []byte) (string, map[string]string) {
	properties := map[string]string{}
	head, rest, _ := bytes.Cut(object, []byte("</obj>"))
	for _, part := range bytes.Split(rest, []byte("</propSet>")) {
		text := string(part)
		name := strings.Index(text, "<name>")
		end := strings.Index(text, "</name>")
		if !strings.HasPrefix(text, "<propSet>") || name < 0 || end < name {
			continue
		}
		properties[text[name+len("<name>"):end]] = text[end+len("</name>"):]
	}
	return string(head) + "</obj>", properties
}

type objectUpdate struct {
	ref string
	xml string
	now map[string]string // nil where the object is gone
}

// changedObjects is what differs, as the elements of a PropertyFilterUpdate.
func changedObjects(before, now map[string]map[string]string) []objectUpdate {
	var updates []objectUpdate
	for ref, properties := range now {
		old, known := before[ref]
		if known && same(old, properties) {
			continue
		}
		kind := "enter"
		if known {
			kind = "modify"
		}
		updates = append(updates, objectUpdate{ref, objectSet(kind, ref, changeSet(old, properties)), properties})
	}
	for ref := range before {
		if _, present := now[ref]; !present {
			updates = append(updates, objectUpdate{ref, objectSet("leave", ref, ""), nil})
		}
	}
	sort.Slice(updates, func(i, j int) bool { return updates[i].ref < updates[j].ref })
	return updates
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, value := range a {
		if other, ok := b[name]; !ok || other != value {
			return false
		}
	}
	return true
}

func changeSet(before, now map[string]string) string {
	var names []string
	for name, value := range now {
		if old, known := before[name]; !known || old != value {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, present := now[name]; !present {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var out strings.Builder
	for _, name := range names {
		value, present := now[name]
		fmt.Fprintf(&out, "<changeSet><name>%s</name><op>assign</op>", name)
		if present {
			out.WriteString(value)
		}
		out.WriteString("</changeSet>") // unset: assigned nothing
	}
	return out.String()
}

func objectSet(kind, ref, changes string) string {
	return "<objectSet><kind>" + kind + "</kind>" + ref + changes + "</objectSet>"
}
