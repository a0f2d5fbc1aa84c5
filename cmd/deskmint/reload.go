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
)

const (
	// reloadPoll is how often the configuration's files are read where nothing tells of
	// changes, and a reload that has failed is tried again: what was wrong may have been a
	// file that it only names, or the store.
	reloadPoll = time.Minute
	// reloadPatience is how long a reload may wait for new secrets, on top of what
	// max_rate alone makes them take. A store that is away is known to be much sooner.
	reloadPatience = 30 * time.Second
	// namesTold is how many names of a kind a line of the log has.
	namesTold = 50
)

// What made a reload begin, in the log.
const (
	onSignal = "signal"
	onChange = "change"
)

// reloader replaces the configuration of a running service, whole or not at all.
type reloader struct {
	reader   *config.Reader
	service  *service.Service
	keyring  *secrets.Keyring
	keys     *caller.KeySets
	log      *slog.Logger
	patience time.Duration // see reloadPatience

	mu      sync.Mutex // one reload at a time
	running *config.Snapshot
	fault   string // why the last one failed; empty: it didn't
}

// follow reloads whenever the files have changed, until ctx ends.
func (r *reloader) follow(ctx context.Context) {
	filewatch.Watch(ctx, filewatch.Options{Name: "the configuration", Log: r.log, PollInterval: reloadPoll}, r.reader.Paths, func() { r.look(ctx) })
}

// look reloads if the files are others than at the last time, or if that one failed.
func (r *reloader) look(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault != "" || r.reader.Changed() {
		r.reload(ctx, onChange)
	}
}

// now reloads in any case: somebody asks, and is told again what is wrong. A reload that
// is going on may have read the files before they were what is meant, so now waits for
// its end and begins another.
func (r *reloader) now(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reload(ctx, onSignal)
}

func (r *reloader) reload(ctx context.Context, trigger string) {
	next, err := r.reader.Load(r.running)
	if err == nil {
		err = r.swap(ctx, next)
	}
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
	r.service.Reloaded(result)
	warn(r.log, next)
	r.log.LogAttrs(ctx, slog.LevelInfo, "the configuration was reloaded",
		append([]slog.Attr{slog.String("trigger", trigger), slog.String("digest", next.Digest)}, told(next.Since(before))...)...)
}

// refuse says why the configuration stays as it is: once for each state of affairs, or
// as often as somebody asks.
func (r *reloader) refuse(ctx context.Context, trigger string, err error) {
	if ctx.Err() != nil || trigger != onSignal && err.Error() == r.fault {
		return
	}
	r.fault = err.Error()
	r.service.Reloaded(ops.ReloadFailed)
	r.log.Error("the configuration was not reloaded; the one before goes on",
		slog.String("trigger", trigger), slog.String("cause", err.Error()))
}

// swap puts next in the place of what is running. New secrets are waited for, so that
// no request finds them missing, but not for ever: the reload after this one may be the
// one that mends it.
func (r *reloader) swap(ctx context.Context, next *config.Snapshot) error {
	patience := r.patience + r.reading(next)
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r.keys.Warm(within, next.Issuers...)
	if err := r.service.Swap(within, next); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("its new secrets were not all read within %v: check the store; the reload is tried again", patience)
		}
		return err
	}
	r.keys.Retain(next.Issuers...)
	r.keyring.SetRules(next.Secrets.Refresh, secretstore.MaxRate(next), next.Secrets.RequirePointer)
	return nil
}

// reading is how long max_rate makes the reads of new secrets take, at two reads each,
// doubled since the secrets that are held already are refreshed meanwhile.
func (r *reloader) reading(next *config.Snapshot) time.Duration {
	held := make(map[secrets.Ref]bool)
	for _, ref := range r.running.Refs() {
		held[ref] = true
	}
	fresh := slices.DeleteFunc(next.Refs(), func(ref secrets.Ref) bool { return held[ref] })
	return time.Duration(len(fresh)) * 4 * time.Second / time.Duration(secretstore.MaxRate(r.running))
}

// told is what has changed, by name, a group for each kind.
func told(all []config.Changes) []slog.Attr {
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
			if more := len(list.names) - namesTold; more > 0 {
				list.names = append(slices.Clone(list.names[:namesTold]), fmt.Sprintf("and %d more", more))
			}
			group = append(group, slog.Any(list.what, list.names))
		}
		attrs = append(attrs, slog.Group(c.Kind, group...))
	}
	return attrs
}

// reloads reloads at changes and signals until ctx ends.
func (h host) reloads(ctx context.Context, s *service.Service, keyring *secrets.Keyring) {
	r := &reloader{
		reader: h.reader, service: s, keyring: keyring, keys: h.keys, log: h.log, patience: reloadPatience, running: h.snapshot,
	}
	var both sync.WaitGroup
	both.Go(func() { r.follow(ctx) })
	both.Go(func() { h.hangUps(ctx, r) })
	both.Wait()
}

// hangUps serves SIGHUP until ctx ends: the configuration is read again, as are the
// certificates' files, and the audit log's file is opened anew, for who rotates it.
// The channel holds one signal, so that of several during a reload one more comes of it.
func (h host) hangUps(ctx context.Context, r *reloader) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.hangups:
		}
		if err := h.records.Reopen(); err != nil {
			h.log.Error("the audit file was not opened again; the one before goes on", slog.String("cause", err.Error()))
		}
		if h.listeners.TLS != nil {
			h.listeners.TLS.Reload()
		}
		r.now(ctx)
	}
}
