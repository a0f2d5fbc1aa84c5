//go:build long

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// promtool returns the path of promtool. It skips the test if there is none, or fails it if the
// list DESKMINT_REQUIRE contains promtool.
func promtool(t *testing.T) string {
	t.Helper()
	name := os.Getenv("PROMTOOL")
	if name == "" {
		name = "promtool"
	}
	found, err := exec.LookPath(name)
	if err == nil {
		return found
	}
	if slices.Contains(strings.Split(os.Getenv("DESKMINT_REQUIRE"), ","), "promtool") {
		t.Fatalf("DESKMINT_REQUIRE requires promtool: %v", err)
	}
	t.Skip("needs promtool (set PROMTOOL to what tools/find-promtool prints)")
	return ""
}

// recording has the metrics of real processes, for which promtool evaluates the alert rules. Each
// scrape is repeated once a minute until the next. So the processes needn't run for as long as the
// rules wait.
type recording struct {
	minutes int
	series  map[string][]string // the values of each minute; "_" for none
}

// samples are the values of the metrics of one replica, by their series. Nil means that the replica
// doesn't answer.
type samples map[string]string

// hold holds the samples of the replicas, which are called by the keys, for some minutes.
func (r *recording) hold(minutes int, replicas map[string]samples) {
	if r.series == nil {
		r.series = make(map[string][]string)
	}
	for name, all := range replicas {
		up := "1"
		if all == nil {
			up = "0"
		}
		for series, value := range all {
			at, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
			r.add(fmt.Sprintf("%s{job=%q,instance=%q,%s}", at, "deskmint", name, labels), value, minutes)
		}
		r.add(fmt.Sprintf("up{job=%q,instance=%q}", "deskmint", name), up, minutes)
	}
	r.minutes += minutes
}

func (r *recording) add(series, value string, minutes int) {
	values := r.series[series]
	for len(values) < r.minutes {
		values = append(values, "_")
	}
	r.series[series] = append(values, slices.Repeat([]string{value}, minutes)...)
}

// scrape returns the values of the metrics that alert rules use.
func (d *deskmint) scrape(t *testing.T) samples {
	t.Helper()
	response, err := http.Get("http://" + d.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := make(samples)
	for line := range strings.Lines(string(text)) {
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || !strings.HasPrefix(line, "deskmint_") && !strings.HasPrefix(line, "process_start_time") {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all[line[:i]] = strconv.FormatFloat(value, 'f', -1, 64)
	}
	return all
}

// alert is an alert that fires, with those of its labels that it has.
type alert struct{ name, severity, instance, transport string }

// checkFiring checks which alerts fire in the last minute of the recording.
func (r *recording) checkFiring(t *testing.T, want ...alert) {
	t.Helper()
	rules, err := filepath.Abs("../../deploy/prometheus/deskmint.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "rule_files: [%s]\nevaluation_interval: 1m\n", rules)
	text.WriteString("tests:\n  - interval: 1m\n    input_series:\n")
	for series, values := range r.series {
		fmt.Fprintf(&text, "      - {series: '%s', values: '%s'}\n", strings.ReplaceAll(series, "'", "''"),
			strings.Join(values, " "))
	}
	text.WriteString("    promql_expr_test:\n      - expr: count by (alertname, severity, instance, transport) " +
		"(ALERTS{alertstate=\"firing\"})\n")
	fmt.Fprintf(&text, "        eval_time: %dm\n        exp_samples:\n", r.minutes-1)
	for _, a := range want {
		labels := fmt.Sprintf("alertname=%q, severity=%q", a.name, a.severity)
		if a.instance != "" {
			labels += fmt.Sprintf(", instance=%q", a.instance)
		}
		if a.transport != "" {
			labels += fmt.Sprintf(", transport=%q", a.transport)
		}
		fmt.Fprintf(&text, "          - {labels: '{%s}', value: 1}\n", labels)
	}
	file := filepath.Join(t.TempDir(), "live.test.yaml")
	write(t, file, text.String())
	out, err := exec.CommandContext(t.Context(), promtool(t), "test", "rules", file).CombinedOutput()
	if err != nil {
		t.Errorf("after %d minutes: %v\n%s", r.minutes, err, out)
	}
}
