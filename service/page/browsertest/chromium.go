package browsertest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// chromium opens tabs by the Chrome DevTools Protocol.
type chromium struct{ browser context.Context }

func startChromium(t testing.TB, _ string) opener { t.Helper(); return chromium{New(t)} }

func (c chromium) open(ctx context.Context, t testing.TB, o TabOptions) (driver, error) {
	t.Helper()
	d := &chromiumTab{log: &eventLog{}}
	var closeTab context.CancelFunc
	d.tab, closeTab = chromedp.NewContext(c.browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	if err := chromedp.Listen(d.tab, d.log.record); err != nil {
		return nil, err
	}
	if err := chromedp.Do(d.tab); err != nil {
		return nil, err
	}
	if o.ScriptsOff {
		params := emulation.SetScriptExecutionDisabledParams{Value: true}
		if _, err := call(ctx, d, emulation.SetScriptExecutionDisabled, params); err != nil {
			return nil, err
		}
	}
	scheme := "light"
	if o.Dark {
		scheme = "dark"
	}
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	_, err := call(ctx, d, emulation.SetEmulatedMedia, params)
	return d, err
}

type chromiumTab struct {
	tab context.Context
	log *eventLog
}

// within returns the tab's context with the deadline of ctx.
func (d *chromiumTab) within(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(d.tab)
	}
	return context.WithDeadline(d.tab, deadline)
}

func call[P, R any](ctx context.Context, d *chromiumTab, command cdp.Command[P, R], params P) (R, error) {
	limited, cancel := d.within(ctx)
	defer cancel()
	return chromedp.Call(limited, command, params)
}

func (d *chromiumTab) navigate(ctx context.Context, url string) error {
	_, err := call(ctx, d, page.Navigate, page.NavigateParams{URL: url})
	return err
}

// traverse doesn't use chromedp.NavigateBack, because that waits for a load event, and a page from
// the back/forward cache has none.
func (d *chromiumTab) traverse(ctx context.Context, by int) error {
	limited, cancel := d.within(ctx)
	defer cancel()
	history, err := chromedp.Run(limited, chromedp.NavigationEntries())
	if err != nil {
		return err
	}
	entry := history.Entries[int(history.CurrentIndex)+by].ID
	_, err = call(ctx, d, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: entry})
	return err
}

func (d *chromiumTab) reload(ctx context.Context) error {
	_, err := call(ctx, d, page.Reload, page.ReloadParams{})
	return err
}

func (d *chromiumTab) evaluate(ctx context.Context, script string) (string, error) {
	limited, cancel := d.within(ctx)
	defer cancel()
	return chromedp.Run(limited, chromedp.Evaluate[string](script))
}

func (d *chromiumTab) aim(ctx context.Context, selector string) (func(context.Context) error, error) {
	x, y, err := middle(ctx, d, selector)
	return func(ctx context.Context) error {
		limited, cancel := d.within(ctx)
		defer cancel()
		return chromedp.Do(limited, chromedp.MouseClickXY(x, y))
	}, err
}

func (d *chromiumTab) resize(ctx context.Context, width, height int) error {
	_, err := call(ctx, d, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(width), Height: int64(height), DeviceScaleFactor: 1,
	})
	return err
}

func (d *chromiumTab) screenshot(ctx context.Context) ([]byte, error) {
	limited, cancel := d.within(ctx)
	defer cancel()
	return chromedp.Run(limited, chromedp.CaptureScreenshot())
}

func (d *chromiumTab) tabs(ctx context.Context) (names []string, err error) {
	limited, cancel := d.within(ctx)
	defer cancel()
	all, err := chromedp.Targets(limited)
	for _, one := range all {
		if one.Type == "page" {
			names = append(names, string(one.TargetID))
		}
	}
	return names, err
}

func (d *chromiumTab) attach(_ context.Context, name string) (driver, error) {
	return d.other(chromedp.WithTargetID(target.ID(name)))
}

func (d *chromiumTab) create(context.Context) (driver, error) { return d.other() }

// other returns another tab, which is closed with this one. It runs the first command with the
// tab's own context, because the browser closes a tab when the context of its first command ends.
func (d *chromiumTab) other(options ...chromedp.ContextOption) (driver, error) {
	other := &chromiumTab{log: d.log}
	other.tab, _ = chromedp.NewContext(d.tab, options...)
	return other, chromedp.Do(other.tab)
}

func (d *chromiumTab) errors() []string { return d.log.all() }

func (d *chromiumTab) end(context.Context) error { return errors.ErrUnsupported }

// eventLog holds the errors that a browser reports.
type eventLog struct {
	mu    sync.Mutex
	texts []string
}

func (l *eventLog) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts = append(l.texts, text)
}

func (l *eventLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.texts...)
}

func (l *eventLog) record(event any) {
	switch event := event.(type) {
	case *cdplog.EventEntryAdded:
		l.add(event.Entry.Text)
	case *runtime.EventExceptionThrown:
		l.add(event.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		l.add("a message on the console")
	}
}
