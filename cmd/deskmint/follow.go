package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/filewatch"
)

// followedStore is a secret store with files that may change: the credential of its login, and the
// authorities that it trusts. Reload reads them again. With retry it also ends the pause after a
// login that failed.
type followedStore interface {
	Files() []string
	Reload(retry bool) (changed bool)
}

// followStore follows the files of the secret store until ctx ends.
func (h host) followStore(ctx context.Context, keyring *secrets.Keyring) {
	store, ok := h.source.(followedStore)
	if !ok {
		return
	}
	options := filewatch.Options{
		Name: "the login to the secret store", Log: h.log, PollInterval: reloadPoll,
	}
	filewatch.Watch(ctx, options, store.Files, func() {
		if store.Reload(false) {
			keyring.Retry()
		}
	})
}

// reloadStore reads the files of the secret store now, and tries a login again that failed.
func (h host) reloadStore(keyring *secrets.Keyring) {
	if store, ok := h.source.(followedStore); ok {
		store.Reload(true)
		keyring.Retry()
	}
}

// issuerFiles are the files that a fetch of an issuer's keys needs: its authorities and its token.
func issuerFiles(i caller.Issuer) (paths []string) {
	for _, path := range []string{i.CA, i.TokenFile} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// digest is a hash of files. Comparing hashes shows whether a file has changed without keeping its
// contents in memory.
type digest [sha256.Size]byte

func digestOf(paths []string) digest {
	h := sha256.New()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		fmt.Fprintf(h, "%q %d %v\n", path, len(text), err)
		h.Write(text)
	}
	return digest(h.Sum(nil))
}

// paths returns the paths that follow watches.
func (r *reloader) paths() []string {
	paths := r.reader.Paths()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.running.Issuers {
		paths = append(paths, issuerFiles(i)...)
	}
	return paths
}

// fetchIfChanged fetches the keys of the issuers whose files have changed since the last call. They
// are read at every fetch, but the next fetch may be minutes away.
func (r *reloader) fetchIfChanged() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := make(map[string]digest)
	var changed []caller.Issuer
	for _, i := range r.running.Issuers {
		paths := issuerFiles(i)
		if len(paths) == 0 {
			continue
		}
		now[i.Name] = digestOf(paths)
		if before, ok := r.issuers[i.Name]; ok && before != now[i.Name] {
			changed = append(changed, i)
		}
	}
	r.issuers = now
	r.keys.Refetch(changed...)
}
