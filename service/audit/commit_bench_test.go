package audit

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// oneEach is what a committer is measured against: the same lines to the same file,
// one write(2) each. Nothing bounds how long it waits.
type oneEach struct {
	mu  sync.Mutex
	out *os.File
}

func (o *oneEach) write(_ context.Context, text []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.out.Write(text)
	return err
}

// processorTime is the process's own, which another's load doesn't touch.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkCommit compares writing together with one write each, for one writer and
// for 64 at once. Only the ratios of one run say something, and on a busy machine only
// those of processor time.
func BenchmarkCommit(b *testing.B) {
	record := Record{
		Schema: Schema, Time: time.Now().UTC(), RequestID: strings.Repeat("R", 26), Transport: "grpc", Method: "MintToken", Action: "sign_in", Caller: "storefront",
		Authenticated: "api_key", Configuration: "acme-customers", Brand: "360001", Decision: Allow, Rule: "callers[0].grants[0]", SecretVersion: 2,
		ID: strings.Repeat("j", 26), TokenHash: Hash("x"), EmailHash: Hash("y"), Claims: []string{"iat", "jti", "email", "name"}, Digest: Hash("z"),
	}
	line, err := json.Marshal(record)
	if err != nil {
		b.Fatal(err)
	}
	line = append(line, '\n')
	for _, writers := range []int{1, 64} {
		for _, way := range []string{"each", "together"} {
			b.Run(way+"/"+map[int]string{1: "1", 64: "64"}[writers], func(b *testing.B) {
				f, _, err := openFile(filepath.Join(b.TempDir(), "audit.log"))
				if err != nil {
					b.Fatal(err)
				}
				defer f.Close()
				write := (&oneEach{out: f}).write
				if way == "together" {
					write = (&committer{out: f}).write
				}
				b.ReportAllocs()
				before := processorTime(b)
				defer func() {
					b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
				}()
				if writers == 1 {
					for b.Loop() {
						if err := write(b.Context(), line); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := write(b.Context(), line); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
