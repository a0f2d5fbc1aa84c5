package config

import (
	"cmp"
	"reflect"
	"strings"
)

// checkFrozen reports what a service that runs with s can't take from main: listeners
// are open, the audit log is, and the store's client has logged in.
//
// That is a fault, and not a warning beside what is loaded: a reload is whole or not at
// all. A service that ran with half of a file would show a digest that is a lie, the half
// that is missing would come by surprise at some later restart, and replicas of
// different age would differ while all of them claim to be the same. Where a rollout
// replaces the process anyway the refusal costs nothing: the old process ends with what
// it has.
func (s *Snapshot) checkFrozen(main *source) {
	none, now := new(TLS), main.TLS
	if now == nil {
		now = none
	}
	before := s.TLS
	if before == nil {
		before = none
	}
	auditBefore, auditNow := s.Audit, main.Audit
	auditBefore.Output, auditNow.Output = cmp.Or(auditBefore.Output, "stdout"), cmp.Or(auditNow.Output, "stdout")
	for _, block := range []struct {
		key         string
		before, now any
	}{
		{"listen", s.Listen, main.Listen},
		{"tls", *before, *now},
		{"audit", auditBefore, auditNow},
		{"secrets.source", s.Secrets.Source, main.Secrets.Source},
	} {
		freeze(main.place(block.key), reflect.ValueOf(block.before), reflect.ValueOf(block.now))
	}
	if s.Secrets.Source != main.Secrets.Source {
		return // of which the other block is a part
	}
	switch s.Secrets.Source { // the block of another source is without effect
	case "vault":
		freeze(main.place("secrets.vault"), reflect.ValueOf(s.Secrets.Vault), reflect.ValueOf(main.Secrets.Vault))
	case "file":
		freeze(main.place("secrets.file"), reflect.ValueOf(s.Secrets.File), reflect.ValueOf(main.Secrets.File))
	}
}

// freeze reports each key at or below at whose value differs. It shows none of them.
func freeze(at place, before, now reflect.Value) {
	if now.Kind() == reflect.Struct {
		fields := fieldsOf(now.Type())
		for _, key := range sortedKeys(fields) {
			freeze(at.at(key), before.FieldByIndex(fields[key]), now.FieldByIndex(fields[key]))
		}
		return
	}
	if !reflect.DeepEqual(before.Interface(), now.Interface()) && !(now.Kind() == reflect.Slice && before.Len()+now.Len() == 0) {
		block, _, _ := strings.Cut(at.key, ".")
		at.fault("can't change while the service runs: restart to change it, or put back what the %s block had at the start", block)
	}
}
