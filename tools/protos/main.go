// Command protos writes the .proto files that the contract imports to a folder. It takes them from
// Go modules.
//
// buf would take them from its own registry. With modules, any machine that has Go and a module
// proxy can get them. They are pinned by the hashes that go.sum uses.
//
//	go run -C tools ./protos ../.cache/proto
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/deskmint/deskmint/tools/internal/pinned"
)

// source is a module with .proto files.
type source struct {
	module string // path@version
	sum    string // the module's hash, as in go.sum
	root   string // import paths are relative to this folder of the module
	dirs   []string
}

// sources returns the pinned modules. No go.mod would keep them, because nothing is built from
// them. When the Go package of one (protovalidate's generated code, genproto) gets a new version,
// update the pin, too.
func sources() []source {
	return []source{
		{
			module: "github.com/bufbuild/protovalidate@v1.2.2",
			sum:    "h1:2H/9/Kr97etSRqW3IJjTTb09z+zutkK2GDhDRbOnqr4=",
			root:   "proto/protovalidate",
			dirs:   []string{"buf/validate"},
		},
		{
			// This is the last version of the gateway that has Google's API definitions. HttpRule
			// and HttpBody haven't changed on the wire since.
			module: "github.com/grpc-ecosystem/grpc-gateway@v1.16.0",
			sum:    "h1:gmcG1KaJ57LophUzW0Hy8NmPhnMZb4M0+kPpLofRdBo=",
			root:   "third_party/googleapis",
			dirs:   []string{"google/api"},
		},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "protos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: protos FOLDER (it is emptied first)")
	}
	out := args[0]
	// Files of an earlier pin must not be importable any more.
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for _, s := range sources() {
		dir, err := pinned.Download(ctx, s.module, s.sum)
		if err != nil {
			return err
		}
		for _, d := range s.dirs {
			if err := os.CopyFS(filepath.Join(out, d), os.DirFS(filepath.Join(dir, s.root, d))); err != nil {
				return fmt.Errorf("copying %s out of %s: %w", d, s.module, err)
			}
		}
	}
	return nil
}
