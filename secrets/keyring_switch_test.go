package secrets_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

const (
	morning = "2026-11-29T09:00:00Z"
	evening = "2026-11-29T18:00:00Z"
)

// mergeSwitch returns the status switched off by the given value of the store.
func mergeSwitch(s secrets.Status, by string) secrets.Status {
	s.Disabled, s.DisabledBy = true, by
	return s
}

// offMark is the mark of a switch-off at the given serial, for which version v was written.
func offMark(v secrets.Version, serial uint64) secrets.Mark {
	return secrets.Mark{Disabled: morning, Serial: serial, Version: v}
}

// again returns the status with later creation times of all versions, as if the secret had been
// created again.
func again(s secrets.Status) secrets.Status {
	s.Versions = slices.Clone(s.Versions)
	for i := range s.Versions {
		s.Versions[i].Created = epoch.Add(time.Duration(i) * time.Minute)
	}
	return s
}

// TestKillSwitchOverTime refreshes a keyring with a sequence of answers. A standby that lags must
// not switch off a secret that was switched on. Every other switch-off must take effect.
func TestKillSwitchOverTime(t *testing.T) {
	type answer struct {
		status secrets.Status
		off    bool
	}
	for name, answers := range map[string][]answer{
		"a standby lags behind enable": {
			{
				mergeSwitch(pinned(2, 2, 5), morning), true}, {pinned(2, 2, 6),
				false}, {mergeSwitch(pinned(2, 2, 5), morning), false}, {pinned(2, 2, 6), false},
		},
		"another switch-off in a backup that was restored": {
			{
				mergeSwitch(pinned(2, 2, 5), morning), true}, {pinned(2, 2, 6), false}, {pinned(1, 1, 2),
				false}, {mergeSwitch(pinned(1, 1, 3), evening), true}, {pinned(1, 1, 4), true},
			{pinned(1, 1, 7), false},
		},
		"the same word by hand twice": {
			{
				mergeSwitch(pinned(2, 2, 5), "true"), true}, {pinned(2, 2, 6),
				false}, {mergeSwitch(pinned(2, 2, 4), "true"), true}, {pinned(2, 2, 6), false},
		},
		"a standby lags by two switch-offs": {
			{
				mergeSwitch(pinned(2, 2, 5), morning), true}, {pinned(2, 2, 6),
				false}, {mergeSwitch(pinned(2, 2, 7), evening), true}, {pinned(2, 2, 8), false},
			{
				mergeSwitch(pinned(2, 2, 5), morning), false}, {mergeSwitch(pinned(2, 2, 7), evening),
				false}, {pinned(2, 2, 6), false},
		},
		"a pointer that vanishes takes the switch-off along": {
			{
				mergeSwitch(pinned(2, 2, 5), morning), true}, {latest(2), true}, {pinned(2, 2, 4),
				true}, {pinned(2, 2, 6), false},
		},
		"a secret that was created again stays off": {
			{
				mergeSwitch(pinned(2, 2, 5), morning), true}, {again(pinned(1, 1, 1)),
				true}, {again(pinned(1, 1, 1)), true}, {again(pinned(1, 1, 4)), true}, {again(pinned(1, 1, 5)),
				false,
			},
		},
		"switched off and wiped between two answers": {
			{pinned(2, 2, 5), false}, {latest(3), true}, {pinned(2, 3, 6), false}, {latest(3), false},
		},
		"older metadata restored": {
			{
				mergeSwitch(pinned(2, 3, 6), morning), true}, {pinned(2, 3, 4), true}, {pinned(2, 3, 7),
				false}, {pinned(2, 3, 4), false},
		},
		"older metadata restored before the start": {
			{
				pinned(2, 3, 4), true}, {pinned(2, 3, 5), true}, {pinned(2, 3, 0), true}, {pinned(2, 3, 7),
				false}, {pinned(2, 3, 4), false},
		},
		"switched on before the wipe": {
			{
				pinned(2, 2, 5), false}, {mergeSwitch(pinned(2, 3, 6), morning), true}, {pinned(2, 3, 7),
				false}, {latest(3), false},
		},
		"started after it was switched on, before the wipe": {
			{pinned(2, 3, 7), false}, {latest(3), false},
		},
		"a pointer that can't be used doesn't switch on": {
			{mergeSwitch(pinned(2, 2, 5), morning), true}, {pinned(9, 2, 4), true}, {pinned(2, 2, 6), false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{
					status: map[string]secrets.Status{acme.Path: answers[0].status},
					marks:  map[secrets.Version]secrets.Mark{3: offMark(3, 6)},
				}
				k, _ := newKeyring(t, f, secrets.Options{})
				if err := k.Warm(t.Context(), acme); err != nil {
					t.Fatal(err)
				}
				for i, a := range answers {
					f.set(func(f *fake) { f.status[acme.Path] = a.status })
					_, _, _ = k.Refresh(t.Context(), acme) // Get returns the same error
					_, err := k.Get(acme, time.Hour)
					if a.off != errors.Is(err, secrets.ErrDisabled) || !a.off && err != nil {
						t.Errorf("answer %d: %v, want off %v", i+1, err, a.off)
					}
				}
			})
		})
	}
}

// TestOutdatedAnswers refreshes a keyring from a store that was restored from a backup. At first
// there is no alarm, because a standby may lag. After five minutes there is an alarm with both
// causes and an advice.
func TestOutdatedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: map[string]secrets.Status{acme.Path: pinned(3, 3, 4)}}
		k, log := newKeyring(t, f, secrets.Options{})
		if err := k.Warm(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		refresh := func() secrets.State {
			t.Helper()
			if _, _, err := k.Refresh(t.Context(), acme); err != nil {
				t.Fatal(err)
			}
			state, _ := k.State(acme)
			return state
		}
		f.set(func(f *fake) { f.status[acme.Path] = pinned(2, 2, 2) })
		if s := refresh(); s.Fault != nil || s.Behind().IsZero() || s.Status.Active != 3 {
			t.Errorf("at first: %+v", s)
		}
		time.Sleep(5*time.Minute - time.Second)
		if s := refresh(); s.Fault != nil {
			t.Errorf("before five minutes: %v", s.Fault)
		}
		time.Sleep(time.Second)
		s := refresh()
		if s.Fault == nil || s.Held == nil {
			t.Fatalf("after five minutes: %+v", s)
		}
		for _, part := range []string{
			"sso/acme", "latest version 2, held 3", "a standby lags",
			"restored from a backup", "`deskmint secret adopt",
		} {
			if !strings.Contains(s.Fault.Error(), part) {
				t.Errorf("%q doesn't contain %q", s.Fault, part)
			}
		}
		if !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("no alarm in the log: %s", log)
		}
		if counts := k.Refreshes(); counts.Lagging != 3 {
			t.Errorf("%+v", counts)
		}
		// This is what `secret adopt` writes.
		f.set(func(f *fake) { f.status[acme.Path] = pinned(2, 2, 1_800_000_000) })
		if s := refresh(); s.Fault != nil || !s.Behind().IsZero() || s.Status.Active != 2 {
			t.Errorf("adopted: %+v", s)
		}
	})
}

// TestFirstLoad loads secrets without a pointer into a new keyring.
func TestFirstLoad(t *testing.T) {
	staged, off := secrets.Mark{Staged: true}, offMark(2, 4)
	managed := unpinned(2)
	managed.Managed = true
	file := unpinned(2)
	file.Revision = 1
	for _, tc := range []struct {
		name    string
		status  secrets.Status
		marks   map[secrets.Version]secrets.Mark
		errs    map[secrets.Version]error
		require bool
		err     error
		says    string
		pinned  bool // if it is false and there is no error, the state must be unpinned
	}{
		{name: "written by hand once", status: unpinned(1)},
		{name: "written by hand twice", status: unpinned(2)},
		{
			name:   "written by hand, and a pointer is required",
			status: unpinned(2), require: true, err: secrets.ErrUnusable,
			says: "require_pointer",
		},
		{
			name:   "a pointer, as required",
			status: pinned(1, 2, 1), marks: map[secrets.Version]secrets.Mark{2: staged},
			require: true, pinned: true,
		},
		{
			name:   "the newest was staged",
			status: unpinned(2), marks: map[secrets.Version]secrets.Mark{2: staged},
			err: secrets.ErrUnusable, says: "`deskmint secret activate NAME --version N`",
		},
		{
			name:   "the newest was written by hand, after a staged one",
			status: unpinned(2), marks: map[secrets.Version]secrets.Mark{1: staged},
			err: secrets.ErrUnusable, says: "wiped",
		},
		{
			name:   "the only one was staged",
			status: unpinned(1), marks: map[secrets.Version]secrets.Mark{1: staged},
			err: secrets.ErrUnusable, says: "wiped",
		},
		{name: "other metadata of Deskmint", status: managed, err: secrets.ErrUnusable, says: "Deskmint's metadata"},
		{
			name:   "switched off, then wiped",
			status: unpinned(2), marks: map[secrets.Version]secrets.Mark{2: off},
			err: secrets.ErrDisabled, says: "switched off",
		},
		{
			name:   "switched off and marked again, then wiped",
			status: unpinned(3),
			marks:  map[secrets.Version]secrets.Mark{1: off, 2: staged, 3: offMark(3, 4)},
			err:    secrets.ErrDisabled, says: "switched off",
		},
		{
			name:   "switched off, written by hand, then wiped",
			status: unpinned(3), marks: map[secrets.Version]secrets.Mark{2: off},
			err: secrets.ErrDisabled, says: "switched off",
		},
		{
			name:   "switched off, written by hand twice, then wiped",
			status: unpinned(4), marks: map[secrets.Version]secrets.Mark{2: off},
			err: secrets.ErrDisabled, says: "switched off",
		},
		{
			name:   "staged, written by hand twice, then wiped",
			status: unpinned(3), marks: map[secrets.Version]secrets.Mark{1: staged},
			err: secrets.ErrUnusable, says: "wiped",
		},
		{
			name:   "an older version can't be read",
			status: unpinned(3), errs: map[secrets.Version]error{1: errSealed},
			err: secrets.ErrUnavailable, says: "sealed",
		},
		{
			name:   "an older version is unusable",
			status: unpinned(3), errs: map[secrets.Version]error{1: secrets.ErrUnusable},
		},
		{
			name:   "switched off, then an older pointer restored",
			status: pinned(1, 2, 3), marks: map[secrets.Version]secrets.Mark{2: off},
			err: secrets.ErrDisabled, says: "reset to an older state",
		},
		{
			name:   "the same, and written by hand since",
			status: pinned(1, 3, 0),
			marks:  map[secrets.Version]secrets.Mark{2: off, 3: off},
			err:    secrets.ErrDisabled, says: "reset to an older state",
		},
		{
			name:   "the same, and the mark can't be read",
			status: pinned(1, 2, 3), errs: map[secrets.Version]error{2: errSealed},
			err: secrets.ErrUnavailable, says: "sealed", pinned: true,
		},
		{
			name:   "switched on, the mark still there",
			status: pinned(1, 2, 5), marks: map[secrets.Version]secrets.Mark{2: off}, pinned: true,
		},
		{
			name:   "a value written by hand on a mark",
			status: pinned(3, 3, 5),
			marks:  map[secrets.Version]secrets.Mark{2: off, 3: off}, pinned: true,
		},
		{
			name:   "the pointer names a mark",
			status: pinned(2, 2, 4), marks: map[secrets.Version]secrets.Mark{2: off},
			err: secrets.ErrUnusable, says: "only marks",
		},
		{name: "a store that keeps no marks", status: file, pinned: true},
		{name: "a store that keeps no marks, and a pointer is required", status: file, require: true, pinned: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &fake{status: map[string]secrets.Status{acme.Path: tc.status}, marks: tc.marks, keyErr: tc.errs}
			k, log := newKeyring(t, f, secrets.Options{RequirePointer: tc.require})
			if err := k.Warm(t.Context(), acme); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Get(acme, 0); !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
				t.Errorf("Get: %v, want %v", err, tc.err)
			}
			state, _ := k.State(acme)
			if tc.says != "" && (state.Fault == nil || !strings.Contains(state.Fault.Error(), tc.says)) {
				t.Errorf("fault %v doesn't contain %q", state.Fault, tc.says)
			}
			want := tc.err == nil && !tc.pinned
			if state.Unpinned() != want || strings.Contains(log.String(), "unpinned") != want {
				t.Errorf("unpinned %v, want %v: %s", state.Unpinned(), want, log)
			}
		})
	}
}

// TestSwitchMarksAreNotStaged adds versions that mark a switch-off. They are neither staged nor
// previous.
func TestSwitchMarksAreNotStaged(t *testing.T) {
	f := &fake{
		status: map[string]secrets.Status{acme.Path: pinned(1, 4, 3)},
		marks:  map[secrets.Version]secrets.Mark{3: offMark(3, 2), 4: offMark(4, 3), 2: {Staged: true}},
	}
	k, _ := newKeyring(t, f, secrets.Options{})
	if err := k.Warm(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	held, err := k.Get(acme, 0)
	if err != nil {
		t.Fatal(err)
	}
	checkHeld(t, held, 1, []secrets.Version{1, 2})
	if state, _ := k.State(acme); state.Status.Staged() != 2 || state.Fault != nil {
		t.Errorf("staged %d, fault %v", state.Status.Staged(), state.Fault)
	}
	// A version with a mark is not a key for verification, even if it is the previous version.
	s := pinned(2, 4, 4)
	s.Previous = 3
	f.set(func(f *fake) { f.status[acme.Path] = s })
	if _, _, err := k.Refresh(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	if held, err = k.Get(acme, 0); err != nil {
		t.Fatal(err)
	}
	checkHeld(t, held, 2, []secrets.Version{2})
}

func TestParseMark(t *testing.T) {
	for _, m := range []secrets.Mark{{Staged: true}, offMark(3, 7)} {
		if got := secrets.ParseMark(m.String()); got != m {
			t.Errorf("%q reads as %+v", m, got)
		}
	}
	for text, want := range map[string]secrets.Mark{
		"":                                      {Staged: true}, // a mark, but not one that a command writes
		"something else":                        {Staged: true},
		" staged ":                              {Staged: true},
		"disabled":                              {Disabled: "by-hand"},
		"disabled yesterday 1 2":                {Disabled: "by-hand"},
		"disabled " + morning + " many 2":       {Disabled: "by-hand"},
		"disabled " + morning + " 1 2 more":     {Disabled: "by-hand"},
		"disabled " + morning + " 1 5000000000": {Disabled: "by-hand"},
	} {
		if got := secrets.ParseMark(text); got != want {
			t.Errorf("%q reads as %+v, want %+v", text, got, want)
		}
	}
}

func TestReadSwitch(t *testing.T) {
	for _, on := range []string{"", "false", "False", "no", "NO", "0"} {
		if by := secrets.ReadSwitch(on); by != "" {
			t.Errorf("%q switches off: %q", on, by)
		}
	}
	for _, off := range []string{
		"true", "yes", "on", "1", "off", "n", "f", " ", "false ", "disabled", "null", "~", "00", canary,
	} {
		if by := secrets.ReadSwitch(off); by == "" || strings.Contains(by, canary) {
			t.Errorf("%q: %q", off, by)
		}
	}
	if by := secrets.ReadSwitch(morning); by != morning {
		t.Errorf("the time of a switch-off reads as %q", by)
	}
}
