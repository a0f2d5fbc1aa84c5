package main

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/logvalue"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/ops"
	"github.com/deskmint/deskmint/service/telemetry"
)

// logFlags are the flags for the format and the level of the log.
type logFlags struct {
	LogFormat string     `enum:"json,text" default:"json" placeholder:"FORMAT" help:"Format of the log: ${enum}."`
	LogLevel  slog.Level `default:"info" placeholder:"LEVEL" help:"Lowest level: debug, info, warn or error."`
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: f.LogLevel, ReplaceAttr: logvalue.Limit}
	if f.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// observe sets what the metrics report about the secret store and the issuers' keys.
func (h host) observe(o *service.Options) {
	if store, ok := h.source.(ops.Store); ok {
		o.Store = store
	}
	if h.keys != nil {
		o.IssuerKeys = h.keys
		o.Clocks = append(o.Clocks, h.keys)
	}
}

var _ ops.Store = (*vault.Source)(nil)

// flush limits how long the shutdown waits until the last telemetry is sent.
const flush = 3 * time.Second

// startTelemetry starts the export of traces and metrics if the environment configures it. The
// caller must call stop when the last request has ended.
func (h host) startTelemetry(ctx context.Context, o *service.Options) (stop func(), err error) {
	o.Registry = prometheus.NewRegistry()
	t, err := telemetry.Open(ctx, telemetry.Options{
		Getenv: h.getenv, Metrics: o.Registry, Registerer: o.Registry, Methods: service.Methods(),
		Version: version(), Log: h.log,
	})
	if err != nil {
		return nil, err
	}
	o.Stats, o.Propagator = t.Stats, t.Propagator
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flush)
		defer cancel()
		if err := t.Close(ctx); err != nil {
			h.log.Warn("the last telemetry was not sent", slog.String("cause", err.Error()))
		}
	}, nil
}

// version returns the version that the build recorded.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
