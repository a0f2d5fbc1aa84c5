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

// separateWriter makes one write(2) for each line, without a timeout. BenchmarkWriter compares a
// writer with it.
type separateWriter struct {
	mu  sync.Mutex
	out *os.File
}

func (o *separateWriter) write(_ context.Context, text []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.out.Write(text)
	return err
}

// processorTime returns the processor time of this process. Other processes don't affect it.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkWriter compares a writer with one write for each line, for one caller and for 64
// concurrent ones. Compare only the ratios within one run. On a busy machine, compare only those of
// processor time.
func BenchmarkWriter(b *testing.B) {
	record := Record{
		Schema: Schema, Time: time.Now().UTC(), RequestID: strings.Repeat("R", 26), Transport: "grpc",
		Method: "MintToken", Action: "sign_in", Caller: "storefront", Authenticated: "api_key",
		Configuration: "acme-customers", Brand: "360001", Decision: Allow, Rule: "callers[0].grants[0]",
		SecretVersion: 2, ID: strings.Repeat("j", 26), TokenHash: Hash("x"), EmailHash: Hash("y"),
		Claims: []string{"iat", "jti", "email", "name"}, Digest: Hash("z"),
	}
	line, err := json.Marshal(record)
	if err != nil {
		b.Fatal(err)
	}
	line = append(line, '\n')
	for _, callers := range []int{1, 64} {
		for _, mode := range []string{"each", "together"} {
			b.Run(mode+"/"+map[int]string{1: "1", 64: "64"}[callers], func(b *testing.B) {
				f, _, err := openFile(filepath.Join(b.TempDir(), "audit.log"))
				if err != nil {
					b.Fatal(err)
				}
				defer f.Close()
				write := (&separateWriter{out: f}).write
				if mode == "together" {
					write = newWriter(f, false).write
				}
				b.ReportAllocs()
				before := processorTime(b)
				defer func() {
					b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
				}()
				if callers == 1 {
					for b.Loop() {
						if err := write(b.Context(), line); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
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
