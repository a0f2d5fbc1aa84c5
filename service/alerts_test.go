package service_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestDashboardAndAlertMetrics checks that each metric in the dashboard and in the alert rules
// exists. An expression with an unknown metric causes no error. Its result is always empty.
func TestDashboardAndAlertMetrics(t *testing.T) {
	known := describedMetrics(newMetricsRegistry(t))
	names := regexp.MustCompile(`\b(?:deskmint|process|go)_\w+`)
	for _, file := range []string{"../deploy/grafana/deskmint.json", "../deploy/prometheus/deskmint.rules.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		used := names.FindAllString(string(text), -1)
		if len(used) < 15 {
			t.Errorf("%s has only %d metrics", file, len(used))
		}
		for _, name := range used {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if _, ok := known[name]; !ok && known[base] != "method transport" {
				t.Errorf("%s has the metric %s, which doesn't exist", file, name)
			}
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is not valid JSON", file)
		}
	}
}

// alertRules returns the expression of each alert rule, without line breaks.
func alertRules(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../deploy/prometheus/deskmint.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, group := range parsed.Groups {
		for _, rule := range group.Rules {
			line := strings.Join(strings.Fields(rule.Expr), " ")
			all[rule.Alert] = strings.NewReplacer("( ", "(", " )", ")").Replace(line)
		}
	}
	return all
}

type panel struct {
	Title   string
	Targets []struct{ Expr, LegendFormat string }
	Field   struct {
		Defaults struct{ NoValue string }
	} `json:"fieldConfig"`
}

func dashboardPanels(t *testing.T) (panels []panel) {
	t.Helper()
	text, err := os.ReadFile("../deploy/grafana/deskmint.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	return dashboard.Panels
}

// TestDashboardCountsAsAlertsDo checks that the numbers at the top of the dashboard have the
// expressions of the alert rules.
func TestDashboardCountsAsAlertsDo(t *testing.T) {
	rules, shown := alertRules(t), make(map[string]string)
	selector := regexp.MustCompile(`\{[^}]*\$[^}]*\}`)
	for _, p := range dashboardPanels(t) {
		for _, target := range p.Targets {
			shown[strings.TrimSpace(p.Title+" "+target.LegendFormat)] = selector.ReplaceAllString(target.Expr, "")
		}
	}
	for title, alert := range map[string]string{
		"Replicas not ready":                        "DeskmintReplicaUnready",
		"Replicas down":                             "DeskmintReplicaDown",
		"Replicas left alone":                       "DeskmintFewReplicas",
		"Configurations can't sign":                 "DeskmintSecretUnusable",
		"Configurations new secret unusable":        "DeskmintSecretFault",
		"Configurations switched off":               "DeskmintSecretDisabled",
		"Configurations on which replicas disagree": "DeskmintReplicasDisagree",
	} {
		if want := "count(" + rules[alert] + ") or vector(0)"; shown[title] != want {
			t.Errorf("%s is\n%s\nand %s is\n%s", title, shown[title], alert, want)
		}
	}
	files := "max(" + strings.TrimSuffix(rules["DeskmintConfigurationsDiffer"], " > 1") + ")"
	if got := shown["Configuration files in use"]; got != files {
		t.Errorf("Configuration files in use is %s, want %s", got, files)
	}
}

// TestEmptyPanelsSayWhy checks that a panel whose metrics exist only with Vault, TLS or issuers
// says so while it has no data.
func TestEmptyPanelsSayWhy(t *testing.T) {
	found := 0
	for _, p := range dashboardPanels(t) {
		for prefix, word := range map[string]string{
			"deskmint_store_": "Vault", "deskmint_tls_": "TLS", "deskmint_issuer_": "issuers",
		} {
			if !strings.Contains(p.Targets[0].Expr, prefix) {
				continue
			}
			found++
			if !strings.Contains(p.Field.Defaults.NoValue, word) {
				t.Errorf("%s says %q while it is empty, want the word %s", p.Title, p.Field.Defaults.NoValue, word)
			}
		}
	}
	if found < 6 {
		t.Errorf("%d panels need Vault, TLS or issuers, want at least 6", found)
	}
}

// TestAlertsAreTested checks that the promtool tests have a case in which each alert fires and one
// in which it doesn't.
func TestAlertsAreTested(t *testing.T) {
	rules, err := os.ReadFile("../deploy/prometheus/deskmint.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("../deploy/prometheus/deskmint.rules.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal(rules, &parsed); err != nil {
		t.Fatal(err)
	}
	var promtool struct {
		Tests []struct {
			Alerts []struct {
				Name     string      `yaml:"alertname"`
				Expected []yaml.Node `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
			Samples []struct {
				Expected []struct{ Labels string } `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		}
	}
	if err := yaml.Unmarshal(tests, &promtool); err != nil {
		t.Fatal(err)
	}
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for _, test := range promtool.Tests {
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Expected) > 0
			quiet[a.Name] = quiet[a.Name] || len(a.Expected) == 0
		}
		for _, s := range test.Samples {
			for _, e := range s.Expected {
				if m := regexp.MustCompile(`alertname="(\w+)"`).FindStringSubmatch(e.Labels); m != nil {
					fires[m[1]] = true
				}
			}
		}
	}
	for _, r := range parsed.Groups[0].Rules {
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: tested to fire: %v, tested not to fire: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
}
