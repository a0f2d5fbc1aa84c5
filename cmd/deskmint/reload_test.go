package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
)

// outcome is the log entry of a reload.
type outcome struct {
	Message string `json:"msg"`
	Trigger string `json:"trigger"`
	Cause   string `json:"cause"`

	Configurations, Brands, Callers, Issuers, Settings struct{ Added, Removed, Changed []string }
}

func (o outcome) good() bool { return strings.HasPrefix(o.Message, "the configuration was reloaded") }

// outcomes returns those of all reloads so far.
func (d *deskmint) outcomes(t *testing.T) (all []outcome) {
	t.Helper()
	for line := range strings.Lines(d.err.String()) {
		if !strings.Contains(line, `"trigger":`) || !strings.HasSuffix(line, "\n") {
			continue
		}
		var o outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, o)
	}
	return all
}

// awaitReload makes a change and returns the outcome of the reload.
func (d *deskmint) awaitReload(t *testing.T, change func()) (last outcome) {
	t.Helper()
	before := len(d.outcomes(t))
	change()
	eventually(t, func() error {
		all := d.outcomes(t)
		if len(all) == before {
			return fmt.Errorf("no reload; standard error:\n%s", &d.err)
		}
		last = all[before]
		return nil
	})
	return last
}

// expectReload is awaitReload for a reload that must succeed. For expectReloadFailure it must fail.
func (d *deskmint) expectReload(t *testing.T, change func()) outcome {
	t.Helper()
	o := d.awaitReload(t, change)
	if !o.good() {
		t.Fatalf("not reloaded: %s", o.Cause)
	}
	return o
}

func (d *deskmint) expectReloadFailure(t *testing.T, change func(), parts ...string) {
	t.Helper()
	o := d.awaitReload(t, change)
	if o.good() {
		t.Fatal("it was reloaded")
	}
	for _, part := range parts {
		if !strings.Contains(o.Cause, part) {
			t.Errorf("no %q in %s", part, o.Cause)
		}
	}
}

// metric returns the value of one line of /metrics.
func (d *deskmint) metric(t *testing.T, name string) (value float64) {
	t.Helper()
	response, err := http.Get("http://" + d.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(readAnswer(t, response).body, "\n"+name+" ")
	if _, err := fmt.Sscan(after, &value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

// twoFiles returns a configuration in two files. The second one doesn't exist yet.
func twoFiles(hash string) (main, included string) {
	text := strings.Replace(onFile(hash), `subdomain: acme}`, `subdomain: acme, default: true}`, 1)
	return text + "include: ['conf.d/*.yaml']\n", `configurations:
  - name: acme-shop
    secret: {path: sso/acme-customers}
    zendesk_sso: {audiences: [end_user], brands: [{id: "9", subdomain: acme-shop}]}
`
}

func put(t *testing.T, path, text string) func() {
	t.Helper()
	return func() { write(t, path, text) }
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestReloadOnChange checks that a change of the files takes effect without a signal, as a whole or
// not at all. The log says what has changed, or which fault there is and where.
func TestReloadOnChange(t *testing.T) {
	t.Parallel()
	began := time.Now()
	path, _, key := files(t)
	text, err := os.ReadFile(path)
	must(t, err)
	_, hash := caller.NewKey()
	_, included := twoFiles(hash)
	main := string(text) + "include: ['conf.d/*.yaml']\n"
	write(t, path, main)
	d := serve(t, path)
	signs := func() {
		t.Helper()
		if got := d.mint(t, key, "acme-customers"); got.token == "" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	const acme = `{id: "360001", name: Acme, subdomain: acme}`
	both := strings.Replace(main, acme,
		`{id: "360001", name: Acme, subdomain: acme, default: true}, {id: "360002", subdomain: acme-labs}`, 1)
	o := d.expectReload(t, put(t, path, both))
	if fmt.Sprint(o.Brands) != "{[acme-customers/360002] [] [acme-customers/360001]}" ||
		len(o.Configurations.Changed)+len(o.Callers.Changed) != 0 {
		t.Errorf("logged: %+v", o)
	}
	o = d.expectReload(t, put(t, path, both+"# a comment\n"))
	if want := "the configuration was reloaded: its files have changed, but nothing that they say"; o.Message != want {
		t.Errorf("logged: %+v", o)
	}
	// A fault is logged once, with its place, however often the files are read.
	broken := strings.Replace(both, "acme-labs", "acme labs", 1)
	d.expectReloadFailure(t, put(t, path, broken), path+":", "configurations[0].zendesk_sso.brands[1].subdomain")
	signs()
	write(t, path, broken)
	d.expectReloadFailure(t, put(t, path, broken+"listn: {}\n"), "listn")
	if n := len(d.outcomes(t)); n != 4 {
		t.Errorf("%d outcomes, want one for each state:\n%s", n, &d.err)
	}
	d.expectReloadFailure(t, func() { must(t, os.Remove(path)) }, path+": can't be read: no such file")
	signs()
	if o := d.expectReload(t, put(t, path, both)); len(o.Brands.Added)+len(o.Brands.Changed) != 0 {
		t.Errorf("logged changes relative to the refused files: %+v", o)
	}
	d.reloadFolder(t, path, included)
	signs()
	d.checkReloadMetrics(t, began)
	d.checkNoSecrets(t, customersSecret, key)
}

// reloadFolder adds the folder of an included pattern, which doesn't exist yet, and changes the
// file in it.
func (d *deskmint) reloadFolder(t *testing.T, path, included string) {
	t.Helper()
	conf := filepath.Join(filepath.Dir(path), "conf.d")
	o := d.expectReload(t, func() {
		must(t, os.Mkdir(conf, 0o700))
		write(t, filepath.Join(conf, "10-shop.yaml"), included)
	})
	if fmt.Sprint(o.Configurations.Added) != "[acme-shop]" {
		t.Errorf("logged: %+v", o)
	}
	if _, all := d.readyz(t); all["acme-shop"].State != "usable" {
		t.Errorf("/readyz: %+v", all)
	}
	shop := filepath.Join(conf, "10-shop.yaml")
	d.expectReloadFailure(t, func() { must(t, os.WriteFile(shop, nil, 0o600)) }, shop+":1: is empty")
	write(t, shop, included)
	eventually(t, func() error {
		if all := d.outcomes(t); !all[len(all)-1].good() {
			return fmt.Errorf("%+v", all[len(all)-1])
		}
		return nil
	})
	d.expectReloadFailure(t, func() { must(t, os.Remove(shop)) }, "include[0]: matches no file any more")
	o = d.expectReload(t, put(t, shop, "# nothing any more\n"))
	if fmt.Sprint(o.Configurations.Removed) != "[acme-shop]" {
		t.Errorf("logged: %+v", o)
	}
}

// checkReloadMetrics compares the metrics of reloads with the log.
func (d *deskmint) checkReloadMetrics(t *testing.T, began time.Time) {
	t.Helper()
	good, bad := 0.0, 0.0
	for _, o := range d.outcomes(t) {
		if o.good() {
			good++
		} else {
			bad++
		}
	}
	count := func(result string) float64 { return d.metric(t, `deskmint_config_reloads_total{result="`+result+`"}`) }
	if f := count("failed"); f != bad || count("succeeded")+count("unchanged") != good {
		t.Errorf("counted %v failures of %v, %v successes and %v unchanged of %v", f, bad, count("succeeded"),
			count("unchanged"), good)
	}
	if at := d.metric(t, "deskmint_config_last_reload_success_timestamp_seconds"); int64(at) < began.Unix() {
		t.Errorf("last success at %v", at)
	}
}

// reloadFaultTest is a change of the files that makes a reload fail, and parts of the error.
type reloadFaultTest struct {
	spoil func(t *testing.T, main, conf string)
	want  []string
}

// reloadFaultTests has a fault of each kind.
var reloadFaultTests = map[string]reloadFaultTest{
	"an include that leads nowhere": {
		func(t *testing.T, _, conf string) { must(t, os.Symlink("nowhere", conf+"/20.yaml")) }, []string{
			"20.yaml: can't be read",
		},
	},
	"an include that leads to itself": {
		func(t *testing.T, _, conf string) { must(t, os.Symlink("20.yaml", conf+"/20.yaml")) }, []string{
			"20.yaml: can't be read", "symbolic links",
		},
	},
	"a folder for an include": {
		func(t *testing.T, _, conf string) { must(t, os.Mkdir(conf+"/20.yaml", 0o700)) }, []string{
			"20.yaml: can't be read", "directory",
		},
	},
	"a folder that leads to itself": {func(t *testing.T, _, conf string) {
		must(t, os.Rename(conf, conf+".away"))
		must(t, os.Symlink("conf.d", conf))
	}, []string{"include[0]", "folder that can't be read"}},
	"the main file leads to itself": {func(t *testing.T, main, _ string) {
		must(t, os.Symlink("deskmint.yaml", main+".new"))
		must(t, os.Rename(main+".new", main))
	}, []string{"deskmint.yaml: can't be read", "symbolic links"}},
	"half a file": {func(t *testing.T, main, _ string) {
		text, err := os.ReadFile(main)
		must(t, err)
		must(t, os.WriteFile(main, text[:len(text)/2], 0o600))
	}, []string{"deskmint.yaml:"}},
	"what needs a restart": {func(t *testing.T, main, _ string) {
		text, err := os.ReadFile(main)
		must(t, err)
		write(t, main, strings.Replace(string(text), "{path: secrets.yaml}", "{path: other.yaml}", 1)+
			"listen: {ops: 127.0.0.1:1234}\naudit: {plain_email: true}\n")
	}, []string{
		"deskmint.yaml:1: secrets.file.path: can't change while the service runs: restart", "listen.ops: can't",
		"audit.plain_email: can't",
	}},
}

// TestReloadFaults checks that the last good configuration stays in use, whatever happens to the
// files.
func TestReloadFaults(t *testing.T) {
	t.Parallel()
	for name, c := range reloadFaultTests {

		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, hash := caller.NewKey()
			main, included := twoFiles(hash)
			dir := folder(t, map[string]string{"deskmint.yaml": main, "secrets.yaml": secretsYAML(customersSecret)})
			conf := filepath.Join(dir, "conf.d")
			must(t, os.Mkdir(conf, 0o700))
			write(t, filepath.Join(conf, "10-shop.yaml"), included)
			path := filepath.Join(dir, "deskmint.yaml")
			d := serve(t, path)
			d.expectReloadFailure(t, func() { c.spoil(t, path, conf) }, c.want...)
			if got := d.mint(t, key, "acme-customers"); got.token == "" {
				t.Errorf("%d %s", got.status, got.body)
			}
			if _, all := d.readyz(t); len(all) != 2 {
				t.Errorf("/readyz: %+v", all)
			}
			d.checkNoSecrets(t, customersSecret, key)
		})
	}
}

// TestReloadMount checks the mount of a ConfigMap. Kubernetes puts each state in a separate folder.
// One link leads to the current folder, and every file is a link through that link.
func TestReloadMount(t *testing.T) {
	t.Parallel()
	key, hash := caller.NewKey()
	main, included := twoFiles(hash)
	dir := folder(t, map[string]string{"secrets.yaml": secretsYAML(customersSecret)})
	mounts := map[string]string{"main": "deskmint.yaml", "conf.d": "10-shop.yaml"}
	mounted := func(mount, state, text string) {
		at := filepath.Join(dir, mount)
		must(t, os.MkdirAll(filepath.Join(at, "..2026_"+state), 0o700))
		write(t, filepath.Join(at, "..2026_"+state, mounts[mount]), text)
		must(t, os.Symlink("..2026_"+state, filepath.Join(at, "..data_tmp")))
		old, _ := os.Readlink(filepath.Join(at, "..data")) // none at first
		must(t, os.Rename(filepath.Join(at, "..data_tmp"), filepath.Join(at, "..data")))
		if old == "" {
			must(t, os.Symlink("..data/"+mounts[mount], filepath.Join(at, mounts[mount])))
			return
		}
		must(t, os.RemoveAll(filepath.Join(at, old)))
	}
	main = strings.NewReplacer("conf.d/*.yaml", "../conf.d/*.yaml", "path: secrets.yaml",
		"path: ../secrets.yaml").Replace(main)
	mounted("main", "1", main)
	mounted("conf.d", "1", included)
	d := serve(t, filepath.Join(dir, "main", "deskmint.yaml"))
	for n, subdomain := range []string{"acme-next", "acme-third", "acme-last"} {
		o := d.expectReload(t, func() {
			mounted("conf.d", fmt.Sprint(n+2), strings.Replace(included, "acme-shop}", subdomain+"}", 1))
		})
		if o.Trigger != onChange || fmt.Sprint(o.Brands.Changed) != "[acme-shop/9]" {
			t.Errorf("logged: %+v", o)
		}
	}
	d.expectReloadFailure(t, func() { mounted("main", "2", main+"nonsense: 1\n") }, "main/deskmint.yaml:", "nonsense")
	if got := d.mint(t, key, "acme-customers"); got.token == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	d.expectReload(t, func() { mounted("main", "3", main+"# better\n") })
	// If the same ConfigMap is written again, the folder is another one, but there is no change.
	before := len(d.outcomes(t))
	mounted("main", "4", main+"# better\n")
	d.expectReload(t, func() { mounted("conf.d", "9", included) })
	if n := len(d.outcomes(t)) - before; n != 1 {
		t.Errorf("%d reloads of one change", n)
	}
}
