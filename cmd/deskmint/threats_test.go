package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	declaredTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// TestThreatsAreTested checks that every row of the threat model names a test, and that every test
// that a document names exists.
func TestThreatsAreTested(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, name := range declaredTest.FindAllSubmatch(code, -1) {
			there[string(name[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatalf("documents %v, %v", documents, err)
	}
	for _, document := range documents {
		for _, name := range namedTest.FindAllStringSubmatch(readFile(t, document), -1) {
			if !there[name[1]] {
				t.Errorf("%s names %s, which isn't there", filepath.Base(document), name[1])
			}
		}
	}
	_, table, _ := strings.Cut(readFile(t, "../../docs/threats.md"), "| threat |")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")[2:]
	if len(rows) < 20 {
		t.Fatalf("%d threats", len(rows))
	}
	for _, row := range rows {
		if cells := strings.Split(row, " | "); len(cells) != 3 || !namedTest.MatchString(cells[2]) {
			t.Errorf("no test covers: %s", row)
		}
	}
}
