package rotate_test

import "github.com/deskmint/deskmint/secrets"

// activatePlans are the plans of Activate and Rollback.
var activatePlans = []planTest{
	{
		name:   "activate: the staged one",
		secret: pointed(1, 0, 2, 1), act: activate(0),
		steps:   "make version 2 active (previous 1, serial 2)",
		noNotes: true,
	},
	{
		name:   "activate: the newest staged",
		secret: pointed(1, 0, 3, 1), act: activate(0),
		steps:   "make version 3 active (previous 1, serial 2)",
		noNotes: true,
	},
	{
		name:   "activate: by number",
		secret: pointed(1, 0, 3, 1), act: activate(2),
		steps:   "make version 2 active (previous 1, serial 2)",
		noNotes: true,
	},
	{
		name:   "activate: an old one",
		secret: pointed(3, 2, 3, 7), act: activate(1),
		steps:   "make version 1 active (previous 3, serial 8)",
		noNotes: true,
	},
	{
		name:   "activate: in a file",
		secret: pointed(1, 0, 2, 0), change: []func(*fakeStore){revision}, act: activate(0),
		steps:   "make version 2 active (previous 1)",
		noNotes: true,
	},
	{
		name:   "activate: again after a roll-back",
		secret: pointed(1, 2, 2, 3), act: activate(0),
		steps:   "make version 2 active (previous 1, serial 4)",
		noNotes: true,
	},
	{
		name:   "activate: switched off",
		secret: pointed(1, 0, 2, 1), change: []func(*fakeStore){disabled}, act: activate(0),
		steps: "make version 2 active (previous 1, serial 2)",
		says:  "switched off",
	},
	{
		name:   "activate: nothing staged",
		secret: pointed(2, 1, 2, 2), act: activate(0),
		says: "nothing is staged: version 2 is active and there is no newer one. Stage the next one first",
	},
	{
		name:   "activate: the staged one was deleted",
		secret: pointed(1, 0, 2, 1, 2), act: activate(0),
		says: "nothing is staged",
	},
	{
		name:   "activate: no version",
		secret: secrets.Status{}, act: activate(0),
		says: "no version yet: stage one",
	},
	{
		name:   "activate: active already",
		secret: pointed(2, 1, 2, 2), act: activate(2),
		says: "version 2 is active already",
	},
	{
		name:   "activate: no such version",
		secret: pointed(1, 0, 2, 1), act: activate(3),
		says: "there is no version 3: the latest is 2",
	},
	{
		name:   "activate: pruned",
		secret: secrets.Status{Active: 12, Latest: 13, Pinned: true, Versions: versions(13)[3:]},
		act:    activate(2),
		says:   "version 2 is gone: the store keeps only the newest",
	},
	{
		name:   "activate: deleted",
		secret: pointed(1, 0, 3, 1, 2), act: activate(2),
		says: "version 2 was deleted: undelete it",
	},
	{
		name:   "activate: destroyed",
		secret: pointed(2, 0, 3, 1, 1), change: []func(*fakeStore){destroyed}, act: activate(1),
		says: "version 1 was destroyed, for good",
	},
	{
		name:   "activate: unusable",
		secret: pointed(1, 0, 2, 1), change: []func(*fakeStore){unusable(2)}, act: activate(0),
		says: "version 2 can't be used to sign, so it isn't activated: unusable: too short",
	},
	{
		name:   "activate: no pointer, one version",
		secret: unpinned(1), act: activate(1),
		steps:   "pin version 1 as the active one (serial 1)",
		noNotes: true,
	},
	{
		name:   "activate: no pointer, nothing named",
		secret: unpinned(2), act: activate(0),
		says: "nothing is staged",
	},
	{
		name:   "activate: wiped, nothing named",
		secret: unpinned(2), change: []func(*fakeStore){wiped}, act: activate(0),
		says: "Name the version that shall sign",
	},
	{
		name:   "activate: wiped, the one that signs",
		secret: unpinned(2), change: []func(*fakeStore){wiped}, act: activate(1),
		steps: "make version 1 active (serial 1800000000)",
		says:  "if the secret was disabled, disable it again",
	},
	{
		name:   "activate: wiped, the latest",
		secret: unpinned(2), change: []func(*fakeStore){wiped}, act: activate(2),
		steps: "pin version 2 as the active one (serial 1800000000)",
		says:  "above every serial",
	},
	{
		name:   "activate: a pointer that can't be read",
		secret: unpinned(2), change: []func(*fakeStore){malformedPointer}, act: activate(0),
		says: "Name the version that shall sign",
	},
	{
		name:   "activate: a pointer that can't be read, by number",
		secret: unpinned(1), change: []func(*fakeStore){malformedPointer}, act: activate(1),
		steps: "pin version 1 as the active one (serial 1800000000)",
		says:  "there is no pointer",
	},
	{
		name:   "activate: no pointer but a serial",
		secret: secrets.Status{Active: 2, Latest: 2, Serial: 4, Versions: versions(2)}, act: activate(1),
		steps:   "make version 1 active (previous 2, serial 5)",
		noNotes: true,
	},
	{
		name:   "activate: no pointer, in a file",
		secret: unpinned(2), change: []func(*fakeStore){revision}, act: activate(1),
		steps:   "make version 1 active (previous 2)",
		noNotes: true,
	},
	{
		name:   "activate: read-only",
		secret: pointed(1, 0, 2, 1), change: []func(*fakeStore){readOnly}, act: activate(0),
		says: "a read-only mount",
	},
	{
		name:   "roll back",
		secret: pointed(2, 1, 2, 2), act: rollback,
		steps: "make version 1 active (previous 2, serial 3)",
		says:  "WARNING: Zendesk takes only a configuration's newest secret",
	},
	{
		name:   "roll back twice",
		secret: pointed(1, 2, 2, 3), act: rollback,
		steps: "make version 2 active (previous 1, serial 4)",
		says:  "WARNING",
	},
	{
		name:   "roll back past a staged one",
		secret: pointed(2, 1, 3, 2), act: rollback,
		steps: "make version 1 active (previous 2, serial 3)",
		says:  "WARNING",
	},
	{
		name:   "roll back: no pointer",
		secret: unpinned(2), act: rollback,
		says: "there is no pointer, so no activation can be rolled back",
	},
	{
		name:   "roll back: no previous version",
		secret: pointed(1, 0, 1, 1), act: rollback,
		says: "there is no previous version",
	},
	{
		name:   "roll back: to itself",
		secret: pointed(1, 1, 1, 1), act: rollback,
		says: "there is no previous version",
	},
	{
		name:   "roll back: deleted",
		secret: pointed(2, 1, 2, 2, 1), act: rollback,
		says: "version 1 was deleted: undelete it",
	},
	{
		name:   "roll back: destroyed",
		secret: pointed(2, 1, 2, 2, 1), change: []func(*fakeStore){destroyed}, act: rollback,
		says: "version 1 was destroyed",
	},
	{
		name:   "roll back: unusable",
		secret: pointed(2, 1, 2, 2), change: []func(*fakeStore){unusable(1)}, act: rollback,
		says: "can't be used to sign",
	},
	{
		name:   "roll back: read-only",
		secret: pointed(2, 1, 2, 2), change: []func(*fakeStore){readOnly}, act: rollback,
		says: "a read-only mount",
	},
	{
		name:   "activate: a value written by hand on a mark",
		secret: pointed(1, 0, 3, 1),
		change: []func(*fakeStore){disabled, marked(2, offMark(2, 1)), marked(3, offMark(2, 1))},
		act:    activate(0),
		steps:  "make version 3 active (previous 1, serial 2)",
		says:   "switched off",
	},
	{
		name:   "activate: older metadata were reset",
		secret: pointed(2, 1, 3, 2), change: []func(*fakeStore){marked(3, offMark(3, 5))}, act: activate(1),
		steps: "make version 1 active (previous 2, serial 6)",
		says:  "stays off",
	},
	{
		name:   "roll back: past a mark",
		secret: pointed(4, 3, 4, 6), change: []func(*fakeStore){marked(3, offMark(3, 5))}, act: rollback,
		steps: "make version 2 active (previous 4, serial 7)",
		says:  "WARNING",
	},
	{
		name:   "activate: wiped, one version",
		secret: unpinned(1), change: []func(*fakeStore){marked(1, secrets.Mark{Staged: true})}, act: activate(1),
		steps: "pin version 1 as the active one (serial 1800000000)",
		says:  "above every serial",
	},
	{
		name:   "activate: switched off, then wiped",
		secret: unpinned(3), change: []func(*fakeStore){marked(3, offMark(3, 1))}, act: activate(1),
		steps: "make version 1 active (serial 1800000000)",
		says:  "it stays off until it is enabled",
	},
	{
		name:   "activate: a mark",
		secret: pointed(1, 0, 3, 1), change: []func(*fakeStore){marked(2, offMark(2, 1))}, act: activate(2),
		says: "only marks that the secret was switched off",
	},
	{
		name:   "activate: the staged one below a mark",
		secret: pointed(1, 0, 3, 1), change: []func(*fakeStore){marked(3, offMark(3, 1))}, act: activate(0),
		steps:   "make version 2 active (previous 1, serial 2)",
		noNotes: true,
	},
}
