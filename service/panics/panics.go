// Package panics turns a recovered panic into an error. The error names the place of the panic but
// not its value, because the value can hold a secret or a token.
package panics

import (
	"fmt"
	"runtime"
	"strings"
)

// Error returns an error with the type of value and the call stack. It must be called in the
// deferred function that recovers.
func Error(value any) error {
	var pcs [16]uintptr
	n := runtime.Callers(4, pcs[:]) // skips Callers, Error, the deferred function and panic
	frames := runtime.CallersFrames(pcs[:n])
	var where []string
	for {
		f, more := frames.Next()
		where = append(where, fmt.Sprintf("%s:%d", f.Function, f.Line))
		if !more {
			break
		}
	}
	return fmt.Errorf("panic with a %T at %s", value, strings.Join(where, " < "))
}
