// Package filewatch calls a function when files may have changed.
//
// It watches folders and not files. A file that replaces another by renaming is a new file. If a
// symbolic link in a path changes, as in the mounts of Kubernetes, the path also leads to a new
// file. A watch on the old file would miss both changes.
//
// The package doesn't compare contents, and it also reports events that leave a file as it was. The
// function that it calls has to find out what has changed.
package filewatch

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quietPeriod is how long the folders must be without an event before a check. A certificate
	// and its key are written one after the other, and a large file in parts.
	quietPeriod = 200 * time.Millisecond
	// maxDelay is how long events can put off a check.
	maxDelay = 2 * time.Second
	// retryInterval is the time between checks while a folder can't be watched. The folder may be
	// about to be replaced.
	retryInterval = time.Second
)

// Options of [Watch].
type Options struct {
	// Name says in log messages what the files are, for example "the TLS certificates".
	Name string
	// Log receives a message when changes may be noticed late.
	Log *slog.Logger
	// PollInterval is how often the files are checked without an event. Some network
	// filesystems report none.
	PollInterval time.Duration
}

// Watch calls check once at the start, and again whenever a file may have changed, until ctx ends.
// It never runs two checks at the same time.
//
// Watch calls paths before and after each check. The paths need not exist. For a path that ends in
// a pattern, Watch watches the folder that contains the pattern.
func Watch(ctx context.Context, o Options, paths func() []string, check func()) {
	var events <-chan fsnotify.Event
	var failures <-chan error
	f := folders{}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, failures, f.watcher = watcher.Events, watcher.Errors, watcher
		_, err = f.watch(paths())
	}
	if err != nil {
		o.Log.Warn("changes of "+o.Name+" may be noticed late: their folders can't be watched",
			slog.Duration("interval", o.PollInterval), slog.String("cause", err.Error()))
	}
	check() // for changes from before the watch began
	poll := time.NewTicker(o.PollInterval)
	defer poll.Stop()
	// firstEvent is when the first event since the last check came; zero: none has come.
	next, firstEvent := time.NewTimer(quietPeriod), time.Now()
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-events:
			if !f.affects(event) {
				continue
			}
		case err := <-failures:
			o.Log.Debug("the watch on the folders of "+o.Name+" may have missed an event",
				slog.String("cause", err.Error()))
		case <-poll.C:
		case <-next.C:
			// A link may point elsewhere by now, and a folder may have been replaced.
			_, before := f.watch(paths())
			check()
			firstEvent = time.Time{}
			if added, after := f.watch(paths()); before != nil || after != nil {
				next.Reset(retryInterval)
			} else if added { // the check found new paths, which were not watched while it ran
				next.Reset(quietPeriod)
			}
			continue
		}
		if firstEvent.IsZero() {
			firstEvent = time.Now()
		}
		next.Reset(max(0, min(quietPeriod, maxDelay-time.Since(firstEvent))))
	}
}

// folders are the folders that are watched now.
type folders struct {
	watcher *fsnotify.Watcher // nil: there is none, and the files are only polled
	names   map[string]bool   // the watched paths, as events name them
}

// watch watches the folders that the paths are in or lead to, and stops watching all others.
// added reports whether a folder was not watched before.
func (f *folders) watch(paths []string) (added bool, err error) {
	if f.watcher == nil {
		return false, nil
	}
	f.names = map[string]bool{}
	wanted := map[string]bool{}
	for _, path := range paths {
		for _, entry := range resolve(path) {
			wanted[filepath.Dir(entry)], f.names[entry] = true, true
		}
	}
	for _, watched := range f.watcher.WatchList() {
		if !wanted[watched] {
			_ = f.watcher.Remove(watched) // which fails if the folder is gone
		}
	}
	count := len(f.watcher.WatchList())
	var errs []error
	for folder := range wanted {
		errs = append(errs, f.watcher.Add(folder))
	}
	return len(f.watcher.WatchList()) > count, errors.Join(errs...)
}

// affects reports whether an event may concern one of the watched paths. It ignores writes to other
// files in the same folder. An audit log, for example, is written to with each request.
func (f *folders) affects(e fsnotify.Event) bool {
	return e.Op&^(fsnotify.Write|fsnotify.Chmod) != 0 || f.names[filepath.Clean(e.Name)]
}

// resolve returns every entry that decides what a path leads to: the path itself, the links in it
// and what they point to, and the first part that doesn't exist. The folders of these entries
// exist, and their names are free of links, so that no folder is watched under two names.
func resolve(path string) []string {
	var entries []string
	add := func(path string) {
		if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			entries = append(entries, filepath.Join(folder, filepath.Base(path)))
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
	return entries
}
