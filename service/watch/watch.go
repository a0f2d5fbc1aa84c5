// Package watch tells when what certain paths lead to may have changed.
//
// It is folders that are watched: a file that is replaced by renaming, or that a
// symbolic link above it takes elsewhere, as in Kubernetes' mounts, is another file
// than the one that a watch would sit on. What has changed, and whether anything has,
// is for who follows to find out: by content, since events tell of touches too.
package watch

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long the folders must be quiet before a look: a pair is written one
	// file after the other, and a file bit by bit.
	settle = 200 * time.Millisecond
	// patience bounds that: a folder that is never quiet is looked at all the same.
	patience = 2 * time.Second
	// missing is how long after a look the next one is taken while a folder can't be
	// watched: it may be about to be replaced.
	missing = time.Second
)

// Options of [Follow].
type Options struct {
	// What the paths are, in the words of a log: "the TLS certificates".
	What string
	// Log is told where changes may be noticed late.
	Log *slog.Logger
	// Poll is how often to look where nothing has told of a change, as nothing does on
	// some network filesystems.
	Poll time.Duration
}

// Follow looks once at the start, and again whenever something may have changed,
// until ctx ends. Looks come one at a time. paths is asked before and after each: they
// need not exist, and one that ends in a pattern stands for its folder.
func Follow(ctx context.Context, o Options, paths func() []string, look func()) {
	var events <-chan fsnotify.Event
	var lost <-chan error
	f := folders{}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, lost, f.watcher = watcher.Events, watcher.Errors, watcher
		_, err = f.watch(paths())
	}
	if err != nil {
		o.Log.Warn("changes of "+o.What+" may be noticed late: their folders can't be watched",
			slog.Duration("interval", o.Poll), slog.String("cause", err.Error()))
	}
	look() // what changed before there was a watch
	poll := time.NewTicker(o.Poll)
	defer poll.Stop()
	settled, since := time.NewTimer(settle), time.Now()
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-events:
			if !f.concerns(event) {
				continue
			}
		case err := <-lost:
			o.Log.Debug("the watch on the folders of "+o.What+" has missed something", slog.String("cause", err.Error()))
		case <-poll.C:
		case <-settled.C:
			_, before := f.watch(paths()) // links may lead elsewhere now, and a folder be another
			look()
			since = time.Time{}
			if grown, after := f.watch(paths()); before != nil || after != nil {
				settled.Reset(missing)
			} else if grown { // by what the look has learnt; nobody has watched that meanwhile
				settled.Reset(settle)
			}
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		settled.Reset(max(0, min(settle, patience-time.Since(since))))
	}
}

// folders are those that are watched at present.
type folders struct {
	watcher *fsnotify.Watcher // nil: there is none, and polling has to do
	names   map[string]bool   // of the paths themselves, as events name them
}

// watch watches the folders that paths stand in or lead to, and no others any more.
// grown is true where there are new ones among them.
func (f *folders) watch(paths []string) (grown bool, err error) {
	if f.watcher == nil {
		return false, nil
	}
	f.names = map[string]bool{}
	wanted := map[string]bool{}
	for _, path := range paths {
		for _, at := range steps(path) {
			wanted[filepath.Dir(at)], f.names[at] = true, true
		}
	}
	for _, before := range f.watcher.WatchList() {
		if !wanted[before] {
			_ = f.watcher.Remove(before) // which fails where it is gone
		}
	}
	count := len(f.watcher.WatchList())
	var errs []error
	for folder := range wanted {
		errs = append(errs, f.watcher.Add(folder))
	}
	return len(f.watcher.WatchList()) > count, errors.Join(errs...)
}

// concerns is false of writes to what merely stands beside the files: an audit log
// that is written to with each request would otherwise be a reason to look.
func (f *folders) concerns(e fsnotify.Event) bool {
	return e.Op&^(fsnotify.Write|fsnotify.Chmod) != 0 || f.names[filepath.Clean(e.Name)]
}

// steps are what decides what a path leads to: the file at its end, the links on the
// way to it, and where a part is missing yet, that part. Their folders exist, and are
// named without links, so that none is watched under two names.
func steps(path string) []string {
	var out []string
	add := func(path string) {
		if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			out = append(out, filepath.Join(folder, filepath.Base(path)))
		}
	}
	path = filepath.Clean(path)
	for at := path; at != filepath.Dir(at); at = filepath.Dir(at) {
		if to, err := filepath.EvalSymlinks(at); err != nil || at == path || to != at {
			add(at)
			if err == nil {
				add(to)
			}
		}
	}
	return out
}
