//go:build long

package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

// spawnReplica starts a replica with a file of secrets and TLS. The function set replaces its
// secrets, and waits until the metric has the value.
func spawnReplica(t *testing.T, binary, hash string) (d *deskmint, set func(secrets, metric, value string)) {
	t.Helper()
	cert, private := certificate(t)
	dir := folder(t, map[string]string{
		"deskmint.yaml": onFile(hash) + audited + "tls: {certificate: tls.crt, key: tls.key}\n",
		"secrets.yaml":  secretsYAML(customersSecret), "tls.crt": cert, "tls.key": private,
	})
	d = spawn(t, binary, serveArgs(filepath.Join(dir, "deskmint.yaml"), "--drain", "0s")...)
	d.awaitReady(t)
	return d, func(secrets, metric, value string) {
		t.Helper()
		write(t, filepath.Join(dir, "secrets.yaml"), secrets)
		eventually(t, func() error {
			if got := d.scrape(t)[metric+`{configuration="acme-customers"}`]; got != value {
				return fmt.Errorf("%s is %s, want %s", metric, got, value)
			}
			return nil
		})
	}
}

// replicaPair is two running replicas with the same configuration.
type replicaPair struct {
	replicas   map[string]*deskmint // "a" and "b"
	setA, setB func(secrets, metric, value string)
	recording  recording
}

// hold scrapes the replicas, and holds the values for some minutes.
func (p *replicaPair) hold(t *testing.T, minutes int) {
	t.Helper()
	p.recording.hold(minutes, map[string]samples{"a": p.replicas["a"].scrape(t), "b": p.replicas["b"].scrape(t)})
}

// TestAlertsOfRealProcesses evaluates the alert rules for the metrics of processes. The tests of
// the rules have made-up metrics, and would also pass if the service reported others.
func TestAlertsOfRealProcesses(t *testing.T) {
	t.Parallel()
	promtool(t)
	binary := build(t)
	for name, test := range map[string]func(*testing.T, *replicaPair){
		"a new value that can't be used": testAlertOfUnusableValue,
		"a kill switch":                  testAlertsOfKillSwitch,
		"a slow start and a death":       testAlertsOfReplicas,
		"failed handshakes":              testAlertsOfHandshakes,
	} {
		t.Run(name, func(t *testing.T) {
			_, hash := caller.NewKey()
			var p replicaPair
			a, setA := spawnReplica(t, binary, hash)
			b, setB := spawnReplica(t, binary, hash)
			p.replicas, p.setA, p.setB = map[string]*deskmint{"a": a, "b": b}, setA, setB
			test(t, &p)
		})
	}
}

// testAlertOfUnusableValue checks that an alert fires at once, although the old value still signs.
func testAlertOfUnusableValue(t *testing.T, p *replicaPair) {
	r := &p.recording
	p.hold(t, 10)
	r.checkFiring(t)
	p.setA(secretsYAML("MARKER-too-short"), "deskmint_secret_fault", "1")
	p.hold(t, 1)
	r.checkFiring(t, alert{name: "DeskmintSecretFault", severity: "critical", instance: "a"})
	p.setA(secretsYAML(customersSecret), "deskmint_secret_fault", "0")
	p.hold(t, 1)
	r.checkFiring(t)
}

// testAlertsOfKillSwitch checks a kill switch that reaches one replica and then the other.
func testAlertsOfKillSwitch(t *testing.T, p *replicaPair) {
	r := &p.recording
	off := strings.Replace(secretsYAML(customersSecret), "    versions:", "    disabled: true\n    versions:", 1)
	p.hold(t, 10)
	p.setA(off, "deskmint_secret_disabled", "1")
	p.hold(t, 10)
	r.checkFiring(t, alert{name: "DeskmintSecretDisabled", severity: "info"},
		alert{name: "DeskmintSecretDisabledInPart", severity: "critical"})
	p.setB(off, "deskmint_secret_disabled", "1")
	p.hold(t, 10)
	r.checkFiring(t, alert{name: "DeskmintSecretDisabled", severity: "info"})
}

// testAlertsOfReplicas checks a replica that waits for its store, and the death of another.
func testAlertsOfReplicas(t *testing.T, p *replicaPair) {
	config, _ := blockingVault(t)
	now := map[string]samples{
		"a": p.replicas["a"].scrape(t), "b": p.replicas["b"].scrape(t), "c": serveUnready(t, config).scrape(t),
	}
	r := &p.recording
	r.hold(12, now)
	r.checkFiring(t)
	r.hold(108, now)
	unready := alert{name: "DeskmintReplicaUnready", severity: "warning", instance: "c"}
	differ := alert{name: "DeskmintConfigurationsDiffer", severity: "warning"} // c has another store
	r.checkFiring(t, unready, differ)
	now["b"] = nil
	r.hold(20, now)
	r.checkFiring(t, unready, differ, alert{name: "DeskmintReplicaDown", severity: "warning", instance: "b"},
		alert{name: "DeskmintFewReplicas", severity: "warning"})
}

// testAlertsOfHandshakes checks failed handshakes at each listener.
func testAlertsOfHandshakes(t *testing.T, p *replicaPair) {
	r := &p.recording
	p.hold(t, 10)
	for _, address := range []string{p.replicas["a"].grpc, p.replicas["b"].http} {
		for range 10 {
			sendPlaintext(t, address)
		}
	}
	for name, transport := range map[string]string{"a": "grpc", "b": "http"} {
		eventually(t, func() error {
			series := fmt.Sprintf("deskmint_tls_handshakes_total{result=%q,transport=%q}", "failed", transport)
			if n := p.replicas[name].scrape(t)[series]; n != "10" {
				return fmt.Errorf("%s is %s", series, n)
			}
			return nil
		})
	}
	p.hold(t, 7)
	r.checkFiring(t, alert{name: "DeskmintHandshakesFail", severity: "warning", transport: "grpc"},
		alert{name: "DeskmintHandshakesFail", severity: "warning", transport: "http"})
}

// sendPlaintext sends something that isn't TLS, and waits until the server ends the connection.
func sendPlaintext(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = conn.Read(make([]byte, 100))
	}
	if errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}
