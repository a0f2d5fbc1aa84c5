package sandbox

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// FieldKind is what a custom user field holds.
type FieldKind string

// The kinds. The zero value takes every string, number and bool.
const (
	FieldText     FieldKind = "text"
	FieldCheckbox FieldKind = "checkbox"
	FieldInteger  FieldKind = "integer"
	FieldDecimal  FieldKind = "decimal"
	FieldDate     FieldKind = "date" // yyyy-mm-dd
)

// fits reports whether a value from JSON may stand in a field of this kind.
func (k FieldKind) fits(value any) bool {
	switch value := value.(type) {
	case string:
		if k == FieldDate {
			_, err := time.Parse(time.DateOnly, value)
			return err == nil
		}
		return k == "" || k == FieldText
	case bool:
		return k == "" || k == FieldCheckbox
	case json.Number:
		if k == FieldInteger {
			_, err := strconv.ParseInt(string(value), 10, 64)
			return err == nil
		}
		return k == "" || k == FieldDecimal
	}
	return false
}

// plain is a string, number or bool from JSON as people write it.
func plain(value any) string { return fmt.Sprint(value) }
