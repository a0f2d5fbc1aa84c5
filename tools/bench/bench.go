package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// bench has the servers that are running, and their credentials.
type bench struct {
	options
	dir     string
	out     io.Writer
	running []*process
	keys    *keys
}

func (b *bench) stop() {
	for _, p := range b.running {
		p.stop()
	}
}

func (b *bench) start(ctx context.Context, name string, cmd *exec.Cmd) (*process, error) {
	p, err := start(ctx, name, cmd)
	if err == nil {
		b.running = append(b.running, p)
	}
	return p, err
}

// serve starts a Deskmint with this many configurations and callers.
func (b *bench) serve(ctx context.Context, name string, configurations, callers int, tls bool) (*process, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	for _, file := range []string{"ca.crt", "server.crt", "server.key", "jwks.json"} {
		if err := os.Link(filepath.Join(b.dir, file), filepath.Join(dir, file)); err != nil {
			return nil, err
		}
	}
	config, err := b.keys.configuration(dir, configurations, callers, tls)
	if err != nil {
		return nil, err
	}
	return b.start(ctx, name, exec.CommandContext(ctx, b.deskmint, "serve", "--config", config,
		"--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--drain", "0s"))
}

func (b *bench) floor(ctx context.Context, name string, environment ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "floor")
	cmd.Env = append(os.Environ(), environment...)
	return b.start(ctx, name, cmd)
}

// shares are the rates of open, as parts of the throughput of a row.
var shares = [...]float64{0.25, 0.5}

// row is one line of the table, with one kind of request to one server.
type row struct {
	name    string
	server  *process
	against string // the name of the row to compare with; "" for none
	target  float64
	kind    requestKind
	results []result
	atShare [len(shares)][]result // of open, by share
}

// median returns the median processor time for each request.
func (r *row) median() time.Duration {
	return quartiles(len(r.results), func(i int) time.Duration { return r.results[i].each() })[1]
}

// ratio returns the median of the cost relative to that of another row in the same round. spread is
// the distance of the quartiles, relative to the median. A disturbance of the machine for some
// seconds affects both rows.
func (r *row) ratio(base *row) (ratio, spread float64) {
	q := quartiles(len(r.results), func(i int) float64 {
		return float64(r.results[i].each()) / float64(base.results[i].each())
	})
	return q[1], (q[2] - q[0]) / q[1]
}

// tail returns the 99th percentile of the wait at a share of the throughput, and the cost of each
// request then. Both are medians of the measurements.
func (r *row) tail(share int) (p99, each time.Duration) {
	turns := r.atShare[share]
	return quartiles(len(turns), func(i int) time.Duration { return turns[i].quantile(0.99) })[1],
		quartiles(len(turns), func(i int) time.Duration { return turns[i].each() })[1]
}

func quartiles[T cmp.Ordered](n int, at func(int) T) (q [3]T) {
	all := make([]T, n)
	for i := range all {
		all[i] = at(i)
	}
	slices.Sort(all)
	for i := range q {
		q[i] = all[min(n-1, n*(i+1)/4)]
	}
	return q
}

func (b *bench) table(ctx context.Context) error {
	rows, err := b.rows(ctx)
	if err != nil {
		return err
	}
	if err := b.measure(ctx, rows); err != nil {
		return err
	}
	return b.print(rows)
}

// measure measures all rows in turns, so that a disturbance of the machine affects all of them.
func (b *bench) measure(ctx context.Context, rows []*row) error {
	for _, r := range rows { // to warm up connections, caches and the garbage collector
		if _, err := closed(ctx, r.server, r.kind.call, b.inflight, b.each/3); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	for range b.rounds {
		for _, r := range rows {
			one, err := closed(ctx, r.server, r.kind.call, b.inflight, b.each)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			r.results = append(r.results, one)
		}
	}
	for range (b.rounds + 1) / 2 {
		for _, r := range rows {
			most := quartiles(len(r.results), func(i int) float64 { return r.results[i].throughput() })[1]
			for i, share := range shares {
				one, err := open(ctx, r.server, r.kind.wire, most*share, b.each)
				if err != nil {
					return fmt.Errorf("%s at %.0f a second: %w", r.name, most*share, err)
				}
				r.atShare[i] = append(r.atShare[i], one)
			}
		}
	}
	return nil
}

func (b *bench) print(rows []*row) error {
	byName := make(map[string]*row, len(rows))
	for _, r := range rows {
		byName[r.name] = r
	}
	w := tabwriter.NewWriter(b.out, 0, 0, 1, ' ', 0)
	fmt.Fprintf(w,
		"| what | CPU a request | × floor | target | spread | a second | p50 | p99 | p99.9 | p99 at a quarter | p99 "+
			"at half | CPU at half |\n")
	fmt.Fprintf(w, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		times, target, spread := "1", "", 0.0
		if base := byName[r.against]; base != nil {
			var ratio float64
			ratio, spread = r.ratio(base)
			times = fmt.Sprintf("%.2f", ratio)
		} else if r.against != "" {
			times = "?"
		}
		if r.target > 0 {
			target = fmt.Sprintf("%.1f", r.target)
		}
		var all result
		for _, one := range r.results {
			all.requests, all.elapsed = all.requests+one.requests, all.elapsed+one.elapsed
			all.latencies = append(all.latencies, one.latencies...)
		}
		quarter, _ := r.tail(0)
		half, each := r.tail(1)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %.0f %% | %.0f | %s | %s | %s | %s | %s | %s |\n", r.name,
			micro(r.median()), times, target, 100*spread,
			all.throughput(), milli(all.quantile(0.5)), milli(all.quantile(0.99)), milli(all.quantile(0.999)),
			milli(quarter), milli(half), micro(each))
	}
	return w.Flush()
}

func micro(d time.Duration) string { return fmt.Sprintf("%.1f µs", float64(d.Nanoseconds())/1e3) }
func milli(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Nanoseconds())/1e6) }

// servers are the servers of the table.
type servers struct{ plain, secure, floor, floorTLS *process }

func (b *bench) servers(ctx context.Context) (s servers, err error) {
	if b.keys, err = newKeys(b.dir); err != nil {
		return s, err
	}
	if s.plain, err = b.serve(ctx, "deskmint", 1, 1, false); err != nil {
		return s, err
	}
	if s.secure, err = b.serve(ctx, "deskmint-tls", 1, 1, true); err != nil {
		return s, err
	}
	if s.floor, err = b.floor(ctx, "floor"); err != nil {
		return s, err
	}
	path := func(name string) string { return filepath.Join(b.dir, name) }
	s.floorTLS, err = b.floor(ctx, "floor-tls", "CERTIFICATE="+path("server.crt"), "KEY="+path("server.key"),
		"CLIENT_CA="+path("ca.crt"))
	return s, err
}

// rows starts the servers and returns the requests to measure.
func (b *bench) rows(ctx context.Context) ([]*row, error) {
	run, err := b.servers(ctx)
	if err != nil {
		return nil, err
	}
	as := func(p *process, authorization string) caller {
		return caller{server: p, configuration: "configurations/acme-0", authorization: authorization}
	}
	key := "Bearer " + b.keys.apiKey
	certified, floorCertified := as(run.secure, ""), as(run.floorTLS, "")
	certified.tls, floorCertified.tls = b.keys.tls(true), b.keys.tls(true)
	mine, bearer, base := as(run.plain, key), as(run.plain, "Bearer "+b.keys.jwt), as(run.floor, key)

	var rows []*row
	add := func(name, against string, target float64, c caller, makes func(caller) (requestKind, error)) {
		if !strings.Contains(name, b.only) || err != nil {
			return
		}
		r := &row{name: name, server: c.server, against: against, target: target}
		if r.kind, err = makes(c); err == nil {
			rows = append(rows, r)
		}
	}
	rest := func(method, holds string) func(caller) (requestKind, error) {
		return func(c caller) (requestKind, error) { return c.rest(method, holds) }
	}
	mint, page, form := rest("mintToken", `"token"`), rest("renderPage", "<form"), rest("renderForm", `"html"`)
	add("floor gRPC", "", 0, base, caller.mintGRPC)
	add("MintToken gRPC, API key", "floor gRPC", 1.5, mine, caller.mintGRPC)
	add("MintToken gRPC, bearer JWT", "floor gRPC", 0, bearer, caller.mintGRPC)
	add("RenderForm gRPC, API key", "floor gRPC", 0, mine, caller.formGRPC)
	add("RenderPage gRPC, API key", "floor gRPC", 0, mine, caller.pageGRPC)
	add("floor gRPC, TLS", "", 0, floorCertified, caller.mintGRPC)
	add("MintToken gRPC, mTLS", "floor gRPC, TLS", 1.5, certified, caller.mintGRPC)
	add("floor REST", "", 0, base, mint)
	through := base
	through.listener = "gateway"
	add("floor REST, through grpc-gateway", "floor REST", 0, through, mint)
	add("MintToken REST, API key", "floor REST", 2.0, mine, mint)
	add("MintToken REST, bearer JWT", "floor REST", 0, bearer, mint)
	add("RenderForm REST, API key", "floor REST", 0, mine, form)
	add("RenderPage REST, API key", "floor REST", 2.2, mine, page)
	add("floor REST, TLS", "", 0, floorCertified, mint)
	add("MintToken REST, mTLS", "floor REST, TLS", 2.0, certified, mint)
	if err != nil {
		return nil, err
	}
	rivals, err := b.rivals(ctx, key, mint)
	return append(rows, rivals...), err
}

// rivals returns the alternatives to Deskmint.
func (b *bench) rivals(
	ctx context.Context, key string, mint func(caller) (requestKind, error),
) (rows []*row, err error) {
	const node, vault = "Node: express and jsonwebtoken", "Vault: transit, the signature alone"
	if b.node != "" && strings.Contains(node, b.only) {
		p, err := b.nodeServer(ctx)
		if err != nil {
			return nil, err
		}
		r := &row{name: node, server: p, against: "floor REST"}
		if r.kind, err = mint(caller{server: p, configuration: "configurations/acme-0",
			authorization: key}); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	if b.vault != "" && strings.Contains(vault, b.only) {
		p, err := b.vaultServer(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, &row{name: vault, server: p, against: "floor REST", kind: transit(p)})
	}
	return rows, nil
}
