// Package panics turns a recovered panic into an error. The error names the place of the panic but
// not its value, because the value can hold a secret or a token.
//
// A panic in any goroutine ends the process, and with it the service for all callers. Background
// goroutines therefore recover, log the panic and go on.
package panics

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"
)

// The pauses of [Restart].
const (
	firstPause = time.Second
	lastPause  = time.Minute
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

// Log recovers a panic and logs it. It must be deferred directly. task says what the goroutine
// does, for example "refreshing a secret".
func Log(log *slog.Logger, task string) {
	if p := recover(); p != nil {
		write(log, task, Error(p))
	}
}

// Catch recovers a panic and stores it in err. It must be deferred directly.
func Catch(err *error) {
	if p := recover(); p != nil {
		*err = Error(p)
	}
}

// Restart calls run until it returns without a panic. It logs each panic. After the first panic it
// waits a second, and after each further panic twice as long, up to a minute. It returns early if
// ctx ends.
func Restart(ctx context.Context, log *slog.Logger, task string, run func()) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := call(run)
		if err == nil {
			return
		}
		write(log, task, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func call(run func()) (err error) {
	defer Catch(&err)
	run()
	return nil
}

func write(log *slog.Logger, task string, err error) {
	log.Error("a background task panicked; it goes on", slog.String("task", task), slog.String("cause", err.Error()))
}
