package telemetry

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The reasons for which a span is dropped.
const (
	queueFull    = "queue_full"
	exportFailed = "export_failed"
)

// The sizes of a batch span processor, as OpenTelemetry specifies their defaults.
const (
	defaultQueueSize = 2048
	defaultBatchSize = 512
)

// drops counts the spans that are dropped, and logs them.
type drops struct {
	counter *prometheus.CounterVec
	log     *slog.Logger
	now     func() time.Time

	mu     sync.Mutex
	recent map[string]*recentDrops // by reason
}

// recentDrops are the drops for one reason.
type recentDrops struct {
	count  int       // since the last message
	logged time.Time // time of the last message
}

// newDrops returns the counts of dropped spans, and registers their metric. registerer may be nil.
func newDrops(registerer prometheus.Registerer, log *slog.Logger) (*drops, error) {
	d := &drops{
		counter: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskmint_telemetry_spans_dropped_total",
			Help: "Spans that were not sent to the collector, by reason; absent where no traces are sent.",
		}, []string{"reason"}),
		log:    log,
		now:    time.Now,
		recent: make(map[string]*recentDrops),
	}
	for _, reason := range []string{queueFull, exportFailed} {
		d.counter.WithLabelValues(reason) // rate() sees the first drop only if a 0 comes before it
		d.recent[reason] = &recentDrops{}
	}
	if registerer == nil {
		return d, nil
	}
	return d, registerer.Register(d.counter)
}

// add counts dropped spans. It logs the first ones, and then at most once per reminderInterval how
// many there were since.
func (d *drops) add(reason string, n int) {
	d.counter.WithLabelValues(reason).Add(float64(n))
	d.mu.Lock()
	defer d.mu.Unlock()
	recent := d.recent[reason]
	recent.count += n
	now := d.now()
	if !recent.logged.IsZero() && now.Sub(recent.logged) < reminderInterval {
		return
	}
	d.log.Warn("spans were dropped; requests aren't affected",
		slog.String("reason", reason), slog.Int("spans", recent.count))
	recent.count, recent.logged = 0, now
}

// spanQueue is a batch span processor that counts the spans for which its queue has no space. The
// processor of the library counts them only for itself. So the queue of that processor is made
// large enough for all spans that spanQueue lets through.
type spanQueue struct {
	sdktrace.SpanProcessor

	size    int64
	pending *atomic.Int64 // the number of spans that are in the queue or are being sent
	drops   *drops
}

// newSpanQueue returns a queue of the sizes that the environment sets, for an exporter.
func newSpanQueue(exporter sdktrace.SpanExporter, getenv func(string) string, o *outage, d *drops) spanQueue {
	queue := sizeOf(getenv("OTEL_BSP_MAX_QUEUE_SIZE"), defaultQueueSize)
	batch := min(sizeOf(getenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), defaultBatchSize), queue)
	q := spanQueue{size: int64(queue + batch), pending: new(atomic.Int64), drops: d}
	q.SpanProcessor = sdktrace.NewBatchSpanProcessor(
		spanExporter{exporter, o, q.pending, d},
		sdktrace.WithMaxQueueSize(queue+batch), sdktrace.WithMaxExportBatchSize(batch),
	)
	return q
}

// sizeOf returns the size that a variable sets. The function read has checked it.
func sizeOf(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// OnEnd implements [sdktrace.SpanProcessor].
func (q spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if q.pending.Add(1) > q.size {
		q.pending.Add(-1)
		q.drops.add(queueFull, 1)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// spanExporter logs failures and counts the spans that are lost by them. The libraries instead
// report failures to one handler for the whole process, which writes each of them to standard
// error.
type spanExporter struct {
	sdktrace.SpanExporter

	outage  *outage
	pending *atomic.Int64
	drops   *drops
}

// ExportSpans implements [sdktrace.SpanExporter].
func (s spanExporter) ExportSpans(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	err := safely(func() error { return s.SpanExporter.ExportSpans(ctx, batch) })
	s.pending.Add(-int64(len(batch)))
	s.outage.note(ctx, err)
	if err != nil {
		s.drops.add(exportFailed, len(batch))
	}
	return nil
}
