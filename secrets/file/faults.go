package file

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/secrets"
)

// The numbers of faults that the error of one secret quotes: faults of the secret, and faults of
// the rest of the file. Every secret of a faulty file has such an error. If each error had all
// faults, the log and /readyz would grow with the square of the file's size.
const (
	maxOwn  = 5
	maxRest = 3
)

// faults are the faults of a file with their lines. No message quotes a value, or a key that may be
// a misplaced value. The errors of the YAML library are never returned, because they quote both.
type faults []fault

type fault struct {
	line    int
	message string
	secret  string // the path of the secret; empty if the fault belongs to no secret
}

func (f *faults) add(n *yaml.Node, format string, args ...any) {
	*f = append(*f, fault{line: n.Line, message: fmt.Sprintf(format, args...)})
}

// assign records that the faults belong to the secret with this path.
func (f faults) assign(path string) {
	for i := range f {
		f[i].secret = path
	}
}

// fileError is the error of a file with faults. The file isn't used, so the error concerns every
// secret. It wraps [secrets.ErrUnusable].
type fileError struct {
	file     string
	faults   faults // in the order of their lines
	bySecret map[string]faults
}

// in returns the faults as the error of a file.
func (f faults) in(file string) *fileError {
	slices.SortStableFunc(f, func(a, b fault) int { return a.line - b.line })
	e := &fileError{file: file, faults: f, bySecret: make(map[string]faults)}
	for _, one := range f {
		if one.secret != "" {
			e.bySecret[one.secret] = append(e.bySecret[one.secret], one)
		}
	}
	return e
}

// Error returns the first faults of the file.
func (e *fileError) Error() string { return e.of("").Error() }

// Unwrap returns ErrUnusable, because an operator must correct the file.
func (*fileError) Unwrap() error { return secrets.ErrUnusable }

// faultOf returns what err says about one secret, if err is the error of a file with faults.
func faultOf(err error, secret string) error {
	if faulty, ok := errors.AsType[*fileError](err); ok {
		return faulty.of(secret)
	}
	return err
}

// of returns the error of one secret: its first faults, the first faults of the rest of the file,
// and the number of those that it leaves out.
func (e *fileError) of(secret string) error {
	own := e.bySecret[secret]
	texts := e.texts(own[:min(len(own), maxOwn)])
	if more := len(own) - maxOwn; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more of this secret", more))
	}
	rest := make(faults, 0, maxRest)
	for _, f := range e.faults {
		if f.secret == secret && secret != "" {
			continue
		}
		if len(rest) == maxRest {
			break
		}
		rest = append(rest, f)
	}
	texts = append(texts, e.texts(rest)...)
	if more := len(e.faults) - len(own) - len(rest); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more in the file", more))
	}
	return fmt.Errorf("%w: %s", secrets.ErrUnusable, strings.Join(texts, "; "))
}

func (e *fileError) texts(f faults) []string {
	out := make([]string, len(f))
	for i, one := range f {
		out[i] = fmt.Sprintf("%s:%d: %s", e.file, one.line, one.message)
	}
	return out
}
