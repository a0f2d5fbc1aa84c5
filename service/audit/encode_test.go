package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// TestEncode checks, for each field and for all and none of them, that encode writes the same as
// encoding/json without the escapes for HTML.
func TestEncode(t *testing.T) {
	first := time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600))
	filled := func(i int) (r Record) {
		v := reflect.ValueOf(&r).Elem()
		for n := range v.NumField() {
			if i >= 0 && n != i {
				continue
			}
			switch f := v.Field(n); f.Interface().(type) {
			case string:
				f.SetString("a \"<é>\u2028\n" + v.Type().Field(n).Name)
			case int, uint32:
				f.Set(reflect.ValueOf(7).Convert(f.Type()))
			case bool:
				f.SetBool(true)
			case []string:
				f.Set(reflect.ValueOf([]string{"", "user.email"}))
			case time.Time:
				f.Set(reflect.ValueOf(first.UTC()))
			case *time.Time:
				f.Set(reflect.ValueOf(&first))
			default:
				t.Fatalf("no value for a %s", f.Type())
			}
		}
		r.Schema = Schema // which is always present
		return r
	}
	for i := -1; i < reflect.TypeFor[Record]().NumField(); i++ {
		r := filled(i)
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			t.Fatal(err)
		}
		var line bytes.Buffer
		err := r.encode(&line)
		got := line.Bytes()
		if err != nil || string(got) != want.String() {
			t.Errorf("%v\n got %s\nwant %s", err, got, want.String())
		}
	}
}
