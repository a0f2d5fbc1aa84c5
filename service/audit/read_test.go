package audit_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/audit"
)

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func recordAt(id string, at time.Time) string {
	const format = `{"schema":1,"record_id":%q,"time":%q,"transport":"grpc","decision":"deny"}`
	return fmt.Sprintf(format, id, at.Format(time.RFC3339))
}

func readAll(t *testing.T, r io.Reader, each func(line []byte, r *audit.Record) error) (audit.Summary, error) {
	t.Helper()
	text, err := audit.Decompress(r)
	if err != nil {
		t.Fatal(err)
	}
	return audit.ReadRecords(text, each)
}

// TestReadRecords reads all kinds of lines that a log can contain, plain and compressed.
func TestReadRecords(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first, second, last := recordAt("a", at.Add(time.Hour)), recordAt("b", at), recordAt("c", at.Add(2*time.Hour))
	for _, test := range []struct {
		name, text string
		records    []string
		others     int
	}{
		{"nothing", "", nil, 0},
		{"records", first + "\n" + second + "\n" + last + "\n", []string{first, second, last}, 0},
		{"without an end", first + "\n" + second, []string{first, second}, 0},
		{"empty lines", "\n\n" + first + "\n\n", []string{first}, 0},
		{"lines of Windows", first + "\r\n" + second + "\r\n", []string{first, second}, 0},
		{"a torn line", first[:40] + "\n" + second + "\n" + last[:10], []string{second}, 2},
		{"two in a line", first + second + "\n" + last + "\n", []string{last}, 1},
		{"other output", "ready\n{}\n{\"time\":\"2026\"}\nnull\n[1]\n" + first + "\n", []string{first}, 5},
		{"a line of 3 MB", strings.Repeat("x", 3<<20) + "\n" + first + "\n", []string{first}, 1},
		{
			"a long record",
			strings.TrimSuffix(first, "}") + `,"rule":"` + strings.Repeat("x", 200<<10) + `"}` + "\n",
			[]string{strings.TrimSuffix(first, "}") + `,"rule":"` + strings.Repeat("x", 200<<10) + `"}`},
			0,
		},
		{
			"a record of 2 MB",
			strings.TrimSuffix(first, "}") + `,"rule":"` + strings.Repeat("x", 2<<20) + `"}` + "\n" + second,
			[]string{second}, 1,
		},
		{
			"fields of later versions", strings.Replace(first, "{", `{"chain":[1],`, 1) + "\n",
			[]string{strings.Replace(first, "{", `{"chain":[1],`, 1)}, 0,
		},
	} {
		for form, text := range map[string]string{"plain": test.text, "gzip": zipped(t, test.text)} {
			var got []string
			s, err := readAll(t, strings.NewReader(text), func(line []byte, _ *audit.Record) error {
				got = append(got, string(line))
				return nil
			})
			if err != nil || !slices.Equal(got, test.records) || s.Records != len(got) || s.Others != test.others {
				t.Errorf("%s, %s: %d records, %+v, %v", test.name, form, len(got), s, err)
			}
		}
	}

	var sum audit.Summary
	for _, text := range []string{first + "\n" + second, last, ""} {
		s, err := readAll(t, strings.NewReader(text), func([]byte, *audit.Record) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		sum.Add(s)
	}
	if want := (audit.Summary{Records: 3, First: at, Last: at.Add(2 * time.Hour)}); sum != want {
		t.Errorf("together %+v, want %+v", sum, want)
	}
}

// TestReadRecordsEnds checks that an error of the callback ends the reading, and that a truncated
// gzip file yields the records before the cut.
func TestReadRecordsEnds(t *testing.T) {
	enough := errors.New("enough")
	line := recordAt("a", time.Now()) + "\n"
	n := 0
	_, err := readAll(t, strings.NewReader(strings.Repeat(line, 5)), func([]byte, *audit.Record) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Errorf("%d records, %v", n, err)
	}
	whole := zipped(t, strings.Repeat(line, 5))
	s, err := readAll(t, strings.NewReader(whole[:len(whole)-9]), func([]byte, *audit.Record) error { return nil })
	if !errors.Is(err, io.ErrUnexpectedEOF) || s.Records == 0 {
		t.Errorf("%+v, %v", s, err)
	}
}
