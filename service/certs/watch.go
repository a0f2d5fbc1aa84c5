package certs

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long after an event the files are read: a pair is written one file
// after the other, and a file bit by bit.
const settle = 200 * time.Millisecond

// missing is how long after a look the next one is taken while a folder can't be
// watched: it may be about to be replaced.
const missing = time.Second

// Run follows the files until ctx ends.
//
// It is their folders that are watched: a file that is replaced by renaming, or that
// a symbolic link above it takes elsewhere, as in Kubernetes' mounts, is another file
// than the one that a watch would sit on.
func (s *Store) Run(ctx context.Context) {
	var events <-chan fsnotify.Event
	var lost <-chan error
	watch := func() error { return nil }
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, lost = watcher.Events, watcher.Errors
		watch = func() error { return s.watch(watcher) }
		err = watch()
	}
	if err != nil {
		s.options.Log.Warn("changes of the TLS certificates may be noticed late: their folders can't be watched",
			slog.Duration("interval", s.options.Poll), slog.String("cause", err.Error()))
	}
	s.follow() // what changed before there was a watch
	poll := time.NewTicker(s.options.Poll)
	defer poll.Stop()
	settled := time.After(settle)
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
		case err := <-lost:
			s.options.Log.Debug("the watch on the TLS certificates' folders has missed something", slog.String("cause", err.Error()))
		case <-poll.C:
		case <-settled:
			settled = nil
			if watch() != nil { // links may lead elsewhere now, and a folder be another
				settled = time.After(missing)
			}
			s.follow()
			continue
		}
		if settled == nil {
			settled = time.After(settle)
		}
	}
}

// watch watches the folders in which the files stand, and those in which they are
// where they are links, and no others any more.
func (s *Store) watch(w *fsnotify.Watcher) error {
	var folders []string
	for _, path := range []string{s.files.Certificate, s.files.Key, s.files.ClientCA} {
		if path == "" {
			continue
		}
		folders = append(folders, filepath.Dir(path))
		if at, err := filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(at))
		}
	}
	for _, before := range w.WatchList() {
		if !slices.Contains(folders, before) {
			_ = w.Remove(before) // which fails where it is gone
		}
	}
	var errs []error
	for _, folder := range folders {
		errs = append(errs, w.Add(folder))
	}
	return errors.Join(errs...)
}
