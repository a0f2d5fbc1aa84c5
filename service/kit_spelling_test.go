package service_test

import (
	"regexp"
	"strings"
)

// spellAsGRPC changes the fields of an error of the REST gateway, which spells them as the body
// does, to snake_case, so that one table can hold the errors of both transports.
func (a *answer) spellAsGRPC() {
	fields := make(map[string]string, len(a.field))
	for field, description := range a.field {
		fields[snakeCase(field)] = description
	}
	if a.field != nil {
		a.field = fields
	}
	if field := a.info["field"]; field != "" {
		a.info["field"] = snakeCase(field)
	}
}

// snakeCase changes a path to snake_case, without the keys of maps in it.
func snakeCase(path string) string {
	name, key, found := strings.Cut(path, `["`)
	name = capital.ReplaceAllStringFunc(name, func(c string) string { return "_" + strings.ToLower(c) })
	if found {
		name += `["` + key
	}
	return name
}

var capital = regexp.MustCompile(`[A-Z]`)
