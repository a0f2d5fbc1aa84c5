package ops

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/ops/status"
	"github.com/deskmint/deskmint/service/panics"
)

const (
	// endsSoon is how long before its end a certificate or an identity is among what to do.
	endsSoon = 30 * 24 * time.Hour
	// maxEnds limits the certificates and identities on the page, and maxFindings those among what
	// to do.
	maxEnds     = 25
	maxFindings = 10
	// clockWarning is the offset from which a clock is among what to do. The secret store warns
	// from the same offset.
	clockWarning = 30 * time.Second
)

// lastReload is the outcome of the last reload.
type lastReload struct {
	at     time.Time
	result ReloadResult
	fault  string
}

// statusPage serves the page for people. It shows one page of the configurations, those with faults
// first, so its size doesn't grow with their number.
func (m *Monitor) statusPage() http.HandlerFunc {
	renderer := status.NewRenderer()
	return func(w http.ResponseWriter, r *http.Request) {
		page, err := m.status(status.SelectionOf(r.URL.Query()))
		if err == nil {
			err = renderer.Write(w, page)
		}
		if err != nil {
			m.options.Log.Error("the status page failed", slog.String("cause", err.Error()))
			http.Error(w, "The status can't be shown. The log has the cause.", http.StatusInternalServerError)
		}
	}
}

func (m *Monitor) status(s status.Selection) (page *status.Page, err error) {
	defer panics.Catch(&err)
	now, snapshot := m.options.Now(), m.options.Snapshot()
	version, revision, goVersion := build()
	page = &status.Page{
		Now: now, Ready: m.Ready(), Digest: snapshot.Digest,
		List:      m.statusList(snapshot, s),
		Store:     m.statusStore(snapshot),
		Loaded:    time.Unix(0, m.metrics.loadedAt.Load()),
		Decisions: sum(m.metrics.decisions, "reason"),
		Reports:   sum(m.metrics.reports, "class"),
		Warnings:  sum(m.metrics.warnings, "field"),
		Build:     status.Build{Version: version, Commit: revision, Go: goVersion, Started: m.started},
	}
	for i := range page.Decisions {
		page.Decisions[i].Name = cmp.Or(page.Decisions[i].Name, "allowed")
	}
	for i := range page.Reports {
		page.Reports[i].Name = strings.TrimPrefix(page.Reports[i].Name, "SIGN_IN_FAILURE_CLASS_")
	}
	for _, o := range m.clockOffsets(snapshot) {
		page.Clocks = append(page.Clocks, status.Clock{Host: o.Host, Ahead: o.Ahead})
	}
	if keys := m.options.IssuerKeys; keys != nil {
		for _, issuer := range snapshot.Issuers {
			at, _ := keys.Fetched(issuer)
			page.Issuers = append(page.Issuers, status.Issuer{Name: issuer.Name, Fetched: at})
		}
	}
	if last := m.reload.Load(); last != nil {
		page.Reload = &status.Reload{At: last.at, Result: string(last.result), Fault: last.fault}
	}
	ends := m.statusEnds(now)
	page.Findings = m.findings(page, ends)
	shown := min(len(ends), maxEnds)
	page.Ends, page.MoreEnds = ends[:shown], len(ends)-shown
	return page, nil
}

// statusList returns one page of the selected configurations.
func (m *Monitor) statusList(snapshot *config.Snapshot, s status.Selection) status.List {
	list := status.List{Selection: s}
	count := make(map[State]int)
	var matched []*config.Configuration
	for _, conf := range m.byUrgency(snapshot, nil) {
		state := m.State(conf)
		count[state]++
		list.Total++
		if s.Has(conf.Name, conf.DisplayName, string(state)) {
			matched = append(matched, conf)
		}
	}
	for _, state := range []State{Unknown, Unusable, Unavailable, Stale, Disabled, Usable} {
		if count[state] > 0 {
			list.States = append(list.States, status.State{Name: string(state), Count: count[state]})
		}
	}
	list.Matched = len(matched)
	list.Pages = max(1, (len(matched)+status.PerPage-1)/status.PerPage)
	list.Selection.Page = min(s.Page, list.Pages)
	start := (list.Selection.Page - 1) * status.PerPage
	list.First = start + 1
	for _, conf := range matched[start:min(len(matched), start+status.PerPage)] {
		list.Rows = append(list.Rows, m.statusRow(conf))
	}
	return list
}

func (m *Monitor) statusRow(conf *config.Configuration) status.Row {
	held, _ := m.options.Secrets.State(conf.Secret)
	state := m.State(conf)
	return status.Row{
		Name: conf.Name, DisplayName: conf.DisplayName, State: string(state),
		Active:   uint32(held.ActiveVersion()),
		Staged:   uint32(held.Status.Staged()),
		Previous: uint32(held.Status.Previous),
		Created:  created(held.Status),
		Read:     held.Succeeded,
		Findings: m.secretFindings(conf, held, state),
	}
}

// secretFindings returns what is wrong with the secret of a configuration, and what to do.
func (m *Monitor) secretFindings(conf *config.Configuration, held secrets.State, state State) (all []status.Finding) {
	name := conf.Name
	selfTest := m.selfTest(conf)
	add := func(what, advice string) {
		severe := state != Usable && state != Stale && state != Disabled
		all = append(all, status.Finding{What: cut(what), Advice: advice, Severe: severe})
	}
	switch {
	case held.Fault != nil:
		add(held.Fault.Error(), faultAdvice(name, held, state, conf.MaxStale))
	case selfTest != nil:
		add(selfTest.Error(), "Its sign-ins are refused. Stage another secret with `deskmint secret stage "+name+"`.")
	case state == Unavailable || state == Unknown:
		add("The secret has not been read from the store yet.", "Check the store. `deskmint doctor` tries each step.")
	}
	if state == Disabled {
		add("An operator has switched the secret off.",
			"`deskmint secret enable "+name+"` switches it on again, once the cause is known.")
	}
	if held.Unpinned() {
		add("The newest version signs because the store has no pointer.", fmt.Sprintf(
			"`deskmint secret activate %s --version %d` pins it. Until then each new version signs as soon as it is "+
				"written.", name, held.ActiveVersion()))
	}
	if since := held.Behind(); !since.IsZero() {
		add("The store's answers have been older than what is held since "+
			since.UTC().Format("2006-01-02 15:04 MST")+".",
			"A standby of the store lags, or the store was restored from a backup. See docs/faults.md.")
	}
	return all
}

// faultAdvice says what to do about the fault of the last refresh.
func faultAdvice(name string, held secrets.State, state State, maxStale time.Duration) string {
	switch {
	case state == Stale:
		until := held.Held.Refreshed.Add(cmp.Or(maxStale, secrets.DefaultMaxStale))
		return "The key that is held signs until " + until.UTC().Format("2006-01-02 15:04:05 MST") +
			", unless the store answers before. Check the store."
	case state == Unavailable:
		return "Sign-ins fail until the store answers. Check the store. `deskmint doctor` tries each step."
	case held.Alarmed():
		return "A key still signs. Correct this before the next activation. `deskmint secret status " + name +
			"` shows what the store has."
	}
	return "Correct the secret in the store. `deskmint secret status " + name + "` shows what it has, and " +
		"`deskmint doctor` tries each step."
}

func (m *Monitor) statusStore(snapshot *config.Snapshot) status.Store {
	counts := m.options.Secrets.Refreshes()
	out := status.Store{
		Source: snapshot.Secrets.Source, Interval: m.options.Secrets.Interval(),
		Refreshes: []status.Count{
			{Name: "confirmed", Value: counts.Confirmed}, {Name: "lagging", Value: counts.Lagging},
			{Name: "without an answer", Value: counts.Away}, {Name: "with a fault", Value: counts.Fault},
		},
	}
	if store := m.options.Store; store != nil {
		out.Network = true
		out.Succeeded, out.Failed = store.Logins()
		if at, ends := store.TokenExpiry(); ends {
			out.TokenExpiry = at
		}
	}
	return out
}

// statusEnds returns the certificates and identities that end, the soonest first.
func (m *Monitor) statusEnds(now time.Time) (all []status.End) {
	add := func(what, name string, at time.Time) {
		all = append(all, status.End{What: what, Name: name, At: at, Soon: at.Sub(now) < endsSoon})
	}
	if notAfter := m.certificate.Load(); notAfter != nil {
		add("The certificate of the public listeners", "", (*notAfter)())
	}
	m.metrics.identities.each(func(id identityKey, _, notAfter time.Time) {
		if !notAfter.IsZero() {
			add("Identity of the caller "+id.caller, id.identity, notAfter)
		}
	})
	slices.SortFunc(all, func(a, b status.End) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.What, b.What), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// findings returns what to do about all but the configurations.
func (m *Monitor) findings(page *status.Page, ends []status.End) (all []status.Finding) {
	if fault := m.selfTests.fault.Load(); fault != nil {
		all = append(all, status.Finding{
			What: cut(*fault), Severe: true,
			Advice: "No transport accepts requests before this is corrected. The replica tries again every second.",
		})
	}
	if page.Reload != nil && page.Reload.Fault != "" {
		all = append(all, status.Finding{
			What:   "The last reload of the configuration failed: " + cut(page.Reload.Fault),
			Advice: "The configuration before it stays in use. Correct the files: a change starts another reload.",
		})
	}
	for _, c := range page.Clocks {
		if c.Ahead.Abs() >= clockWarning {
			all = append(all, status.Finding{
				What:   "The clock of " + c.Host + " is " + c.Behind() + ".",
				Advice: "Zendesk refuses tokens from 3 minutes on. Check the time service of both machines.",
				Severe: c.Ahead.Abs() >= maxClockOffset,
			})
		}
	}
	soon := slices.IndexFunc(ends, func(e status.End) bool { return !e.Soon })
	if soon < 0 {
		soon = len(ends)
	}
	for _, e := range ends[:min(soon, maxFindings)] {
		verb, advice := " ends ", "Replace it before it ends."
		if e.At.Before(page.Now) {
			verb, advice = " ended ", "It is no longer accepted: replace it, or remove it from the configuration."
		}
		what := e.What
		if e.Name != "" {
			what += ", " + e.Name + ","
		}
		all = append(all, status.Finding{
			What:   what + verb + page.Moment(e.At).Span + ".",
			Advice: advice, Severe: e.At.Before(page.Now),
		})
	}
	if more := soon - maxFindings; more > 0 {
		all = append(all, status.Finding{
			What: fmt.Sprintf("%d more certificates or identities end within 30 days.", more),
		})
	}
	return all
}

// sum returns the totals of a counter by the values of one label, the largest first.
func sum(counters *prometheus.CounterVec, label string) []status.Count {
	collected := make(chan prometheus.Metric)
	go func() {
		defer close(collected)
		counters.Collect(collected)
	}()
	totals := make(map[string]uint64)
	for metric := range collected {
		var one dto.Metric
		if metric.Write(&one) != nil {
			continue
		}
		for _, pair := range one.GetLabel() {
			if pair.GetName() == label {
				totals[pair.GetValue()] += uint64(one.GetCounter().GetValue())
			}
		}
	}
	var all []status.Count
	for name, value := range totals {
		all = append(all, status.Count{Name: name, Value: value})
	}
	slices.SortFunc(all, func(a, b status.Count) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name))
	})
	return all
}
