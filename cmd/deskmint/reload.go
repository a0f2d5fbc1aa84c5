package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretstore"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/filewatch"
	"github.com/deskmint/deskmint/service/ops"
	"github.com/deskmint/deskmint/service/panics"
)

const (
	// reloadPoll is how often the configuration's files are read if the file system doesn't report
	// changes. It is also how often a failed reload is tried again. The cause of the failure may
	// have been the store, or a file that the configuration only names.
	reloadPoll = time.Minute
	// reloadTimeout is how long a reload may wait for new secrets, in addition to the time that
	// max_rate makes the reads take. An unreachable store is detected much sooner.
	reloadTimeout = 30 * time.Second
	// maxLoggedNames is how many names of one kind a log line lists at most.
	maxLoggedNames = 50
	// maxRemovedNames is how many names a warning of a removal lists. Further names are in further
	// lines, because each of them may be a mistake.
	maxRemovedNames = 100
)

// The triggers of a reload, as the log names them.
const (
	onSignal = "signal"
	onChange = "change"
)

// reloader replaces the configuration of a running service. A reload takes effect as a whole, or
// not at all.
type reloader struct {
	reader  *config.Reader
	service *service.Service
	keyring *secrets.Keyring
	keys    *caller.KeySets
	log     *slog.Logger
	timeout time.Duration // see reloadTimeout

	mu      sync.Mutex // one reload at a time
	running *config.Snapshot
	fault   string            // why the last reload failed; empty if it succeeded
	issuers map[string]digest // of the files of each issuer, by its name
}

// follow reloads whenever the files have changed, until ctx ends. It also fetches the keys of
// issuers whose files have changed.
func (r *reloader) follow(ctx context.Context) {
	options := filewatch.Options{Name: "the configuration", Log: r.log, PollInterval: reloadPoll}
	filewatch.Watch(ctx, options, r.paths, func() {
		r.reloadIfChanged(ctx)
		r.fetchIfChanged()
	})
}

// reloadIfChanged reloads if the files have changed since the last reload, or if that reload
// failed.
func (r *reloader) reloadIfChanged(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault != "" || r.reader.Changed() {
		r.reload(ctx, onChange)
	}
}

// now reloads even if the files have not changed, and logs a failure even if it was logged before.
// It serves SIGHUP, so an operator has requested it. A reload in progress may have read the files
// before the operator's last change, so now waits until that reload ends and starts another one.
func (r *reloader) now(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reload(ctx, onSignal)
}

func (r *reloader) reload(ctx context.Context, trigger string) {
	next, err := r.load(ctx)
	if err != nil {
		r.keys.Retain(r.running.Issuers...)
		r.refuse(ctx, trigger, err)
		return
	}
	before := r.running
	r.running, r.fault = next, ""
	result := ops.ReloadSucceeded
	if next.Digest == before.Digest {
		result = ops.ReloadUnchanged
	}
	r.service.Reloaded(result, nil)
	warn(r.log, next)
	for _, removal := range next.Removed(before) {
		r.service.Removed(removal)
		r.warnOfRemoval(ctx, removal)
	}
	since := next.Since(before)
	text := "the configuration was reloaded"
	switch {
	case result == ops.ReloadUnchanged:
		text += ": its files are the same as before"
	case len(since) == 0:
		text += ": its files have changed, but nothing that they say"
	}
	r.log.LogAttrs(ctx, slog.LevelInfo, text,
		append([]slog.Attr{
			slog.String("trigger", trigger),
			slog.String("digest", next.Digest),
		}, changeAttrs(since)...)...)
}

// warnOfRemoval logs every name that a reload has removed, in several lines if there are many.
func (r *reloader) warnOfRemoval(ctx context.Context, removal config.Removal) {
	for names := range slices.Chunk(removal.Names, maxRemovedNames) {
		r.log.LogAttrs(ctx, slog.LevelWarn, "the reload removed a part of the configuration",
			slog.String("kind", removal.Kind), slog.Int("count", len(removal.Names)), slog.Any("names", names))
	}
}

// load reads the configuration and replaces the running one. It turns a panic into an error,
// because a file that provokes one must not end the process.
func (r *reloader) load(ctx context.Context) (next *config.Snapshot, err error) {
	defer panics.Catch(&err)
	if next, err = r.reader.Load(r.running); err != nil {
		return nil, err
	}
	return next, r.swap(ctx, next)
}

// refuse logs why the reload failed. The service keeps the configuration that is running. If the
// cause is the same as at the last failure, refuse logs it only for a signal.
func (r *reloader) refuse(ctx context.Context, trigger string, err error) {
	if ctx.Err() != nil || trigger != onSignal && err.Error() == r.fault {
		return
	}
	r.fault = err.Error()
	r.service.Reloaded(ops.ReloadFailed, err)
	r.log.Error("the configuration was not reloaded; the one before goes on",
		slog.String("trigger", trigger), slog.String("cause", err.Error()))
}

// swap replaces the running configuration by next. It first waits for new secrets, so that no
// request finds them missing. The wait has a limit, because a later version of the files may
// correct the cause, and the next reload can only start when this one has ended.
func (r *reloader) swap(ctx context.Context, next *config.Snapshot) error {
	timeout := r.timeout + r.reading(next)
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r.keys.Warm(within, next.Issuers...)
	if err := r.service.Swap(within, next); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf(
				"its new secrets were not all read within %v: check the store; the reload is tried again", timeout)
		}
		return err
	}
	r.keys.Retain(next.Issuers...)
	r.keyring.SetRules(next.Secrets.Refresh, secretstore.MaxRate(next), next.Secrets.RequirePointer)
	return nil
}

// reading returns how long max_rate makes the reads of new secrets take. Each new secret takes two
// reads. The time is doubled, because the keyring also refreshes the secrets that it already holds.
func (r *reloader) reading(next *config.Snapshot) time.Duration {
	held := make(map[secrets.Ref]bool)
	for _, ref := range r.running.Refs() {
		held[ref] = true
	}
	fresh := slices.DeleteFunc(next.Refs(), func(ref secrets.Ref) bool { return held[ref] })
	return time.Duration(len(fresh)) * 4 * time.Second / time.Duration(secretstore.MaxRate(r.running))
}

// changeAttrs returns the names of what has changed, as one group for each kind.
func changeAttrs(all []config.Changes) []slog.Attr {
	var attrs []slog.Attr
	for _, c := range all {
		var group []any
		for _, list := range []struct {
			what  string
			names []string
		}{{"added", c.Added}, {"removed", c.Removed}, {"changed", c.Changed}} {
			if len(list.names) == 0 {
				continue
			}
			if more := len(list.names) - maxLoggedNames; more > 0 {
				list.names = append(slices.Clone(list.names[:maxLoggedNames]), fmt.Sprintf("and %d more", more))
			}
			group = append(group, slog.Any(list.what, list.names))
		}
		attrs = append(attrs, slog.Group(c.Kind, group...))
	}
	return attrs
}

// reloads reloads the configuration after changes and signals, until ctx ends.
func (h host) reloads(ctx context.Context, s *service.Service, keyring *secrets.Keyring) {
	r := &reloader{
		reader: h.reader, service: s, keyring: keyring, keys: h.keys, log: h.log,
		timeout: reloadTimeout, running: h.snapshot,
	}
	var all sync.WaitGroup
	for task, run := range map[string]func(){
		"following the configuration":      func() { r.follow(ctx) },
		"reloading on signals":             func() { h.hangUps(ctx, r, keyring) },
		"following the store's credential": func() { h.followStore(ctx, keyring) },
	} {
		all.Go(func() { panics.Restart(ctx, h.log, task, run) })
	}
	all.Wait()
}

// hangUps handles SIGHUP until ctx ends. A SIGHUP reopens the audit log's file, which log rotation
// needs, and reads the certificates' files, the secret store's and the configuration again. The
// channel holds one signal, so several signals during a reload cause one more reload.
func (h host) hangUps(ctx context.Context, r *reloader, keyring *secrets.Keyring) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.hangups:
		}
		if err := h.records.Reopen(); err != nil {
			h.log.Error("the audit file was not opened again; the one before goes on",
				slog.String("cause", err.Error()))
		}
		if h.listeners.TLS != nil {
			h.listeners.TLS.Reload()
		}
		h.reloadStore(keyring)
		r.now(ctx)
	}
}
