package rotate_test

import "github.com/deskmint/deskmint/secrets"

// switchPlans are the plans of Disable, Enable and Adopt.
var switchPlans = []planTest{
	{
		name:   "disable: a pointer that can't be read",
		secret: unpinned(1), change: []func(*fakeStore){malformedPointer}, act: disable,
		steps: "switch the secret off; write version 2, which marks the switch-off",
		says:  "only a reset",
	},
	{
		name:   "disable",
		secret: pointed(1, 0, 1, 1), act: disable,
		steps: "switch the secret off (serial 2); write version 2, which marks the switch-off",
		says:  "only a reset at Zendesk does",
	},
	{
		name:   "disable again",
		secret: pointed(1, 0, 1, 1), change: []func(*fakeStore){disabled}, act: disable,
		steps: "switch the secret off (serial 2); write version 2, which marks the switch-off",
		says:  "only a reset at Zendesk does",
	},
	{
		name:   "disable: marked already",
		secret: pointed(1, 0, 2, 1), change: []func(*fakeStore){marked(2, offMark(2, 1))}, act: disable,
		steps: "switch the secret off (serial 2); write version 3, which marks the switch-off; " +
			"delete version 2, which marks a switch-off",
		says: "only a reset at Zendesk does",
	},
	{
		name:   "disable: no pointer, one version",
		secret: unpinned(1), act: disable,
		steps: "switch the secret off, and pin version 1 as the active one (serial 1); " +
			"write version 2, which marks the switch-off",
		says: "version 1 is pinned",
	},
	{
		name:   "disable: no pointer",
		secret: unpinned(2), act: disable,
		steps: "switch the secret off; write version 3, which marks the switch-off",
		says:  "only a reset",
	},
	{
		name:   "disable: no pointer, marks can't be read",
		secret: unpinned(2), change: []func(*fakeStore){unreadableMark(2)}, act: disable,
		steps: "switch the secret off; write version 3, which marks the switch-off",
		says:  "only a reset",
	},
	{
		name:   "disable: other metadata, no pointer",
		secret: unpinned(2), change: []func(*fakeStore){wiped}, act: disable,
		steps: "switch the secret off; write version 3, which marks the switch-off",
		says:  "only a reset",
	},
	{
		name:   "disable: wiped",
		secret: unpinned(2), change: []func(*fakeStore){marked(2, secrets.Mark{Staged: true})}, act: disable,
		steps: "switch the secret off; write version 3, which marks the switch-off",
		says:  "only a reset",
	},
	{
		name:   "disable: no room for a mark",
		secret: pointed(1, 0, 2, 1), change: []func(*fakeStore){keepVersions(2)}, act: disable,
		steps: "switch the secret off (serial 2)",
		says:  "is only in the metadata",
	},
	{
		name:   "disable: a mark isn't allowed",
		secret: pointed(1, 0, 2, 1), change: []func(*fakeStore){denyWrites}, act: disable,
		steps: "switch the secret off (serial 2)",
		says:  "permission denied",
	},
	{
		name:   "disable: the newest was deleted",
		secret: pointed(1, 0, 2, 1, 2), act: disable,
		steps: "switch the secret off (serial 2); write version 3, which marks the switch-off",
		says:  "only a reset",
	},
	{
		name:   "disable: in a file",
		secret: pointed(1, 0, 1, 0), change: []func(*fakeStore){revision}, act: disable,
		steps: "switch the secret off",
		says:  "only a reset",
	},
	{
		name:   "disable: in a file again",
		secret: pointed(1, 0, 1, 0), change: []func(*fakeStore){revision, disabled}, act: disable,
		says: "switched off already",
	},
	{
		name:   "disable: no version",
		secret: secrets.Status{}, act: disable,
		says: "check the configuration's secret.path",
	},
	{
		name:   "disable: read-only",
		secret: pointed(1, 0, 1, 1), change: []func(*fakeStore){readOnly}, act: disable,
		says: "a read-only mount",
	},
	{
		name:   "enable",
		secret: pointed(1, 0, 1, 1), change: []func(*fakeStore){disabled}, act: enable,
		steps:   "switch the secret on (serial 2)",
		noNotes: true,
	},
	{
		name:   "enable: marked",
		secret: pointed(1, 0, 4, 1),
		change: []func(*fakeStore){disabled, marked(2, offMark(2, 1)), marked(4, offMark(4, 1))},
		act:    enable,
		steps: "switch the secret on (serial 2); delete version 4, which marks a switch-off; " +
			"delete version 2, which marks a switch-off",
		noNotes: true,
	},
	{
		name:    "enable: marked, deleting isn't allowed",
		secret:  pointed(1, 0, 2, 1),
		change:  []func(*fakeStore){disabled, denyDeletes, marked(2, offMark(2, 1))},
		act:     enable,
		steps:   "switch the secret on (serial 2)",
		noNotes: true,
	},
	{
		name:   "enable: no pointer",
		secret: unpinned(2), change: []func(*fakeStore){disabled}, act: enable,
		says: "First activate the version that shall sign",
	},
	{
		name:   "enable: no pointer, one version",
		secret: unpinned(1), change: []func(*fakeStore){disabled}, act: enable,
		steps:   "switch the secret on, and pin version 1 as the active one (serial 1)",
		noNotes: true,
	},
	{
		name:   "enable: older metadata were reset",
		secret: pointed(2, 1, 3, 2), change: []func(*fakeStore){marked(3, offMark(3, 5))}, act: enable,
		steps:   "switch the secret on (serial 6); delete version 3, which marks a switch-off",
		noNotes: true,
	},
	{
		name:    "enable: a value written by hand on a mark",
		secret:  pointed(1, 0, 3, 1),
		change:  []func(*fakeStore){disabled, marked(2, offMark(2, 1)), marked(3, offMark(2, 1))},
		act:     enable,
		steps:   "switch the secret on (serial 2); delete version 2, which marks a switch-off",
		noNotes: true,
	},
	{
		name:   "adopt: marks can't be read",
		secret: unpinned(2), change: []func(*fakeStore){unreadableMark(2)}, act: adopt,
		says: "can't be read",
	},
	{
		name:   "enable again",
		secret: pointed(1, 0, 1, 1), act: enable,
		says: "`deskmint secret adopt` makes it take the store as it is",
	},
	{
		name:   "enable again, in a file",
		secret: pointed(1, 0, 1, 0), change: []func(*fakeStore){revision}, act: enable,
		says: "isn't switched off",
	},
	{
		name:   "enable: wiped",
		secret: unpinned(2), change: []func(*fakeStore){marked(2, offMark(2, 1))}, act: enable,
		says: "First activate the version that shall sign",
	},
	{
		name:   "enable: a pointer that can't be read",
		secret: unpinned(1), change: []func(*fakeStore){malformedPointer, disabled}, act: enable,
		says: "First activate the version that shall sign",
	},
	{
		name:   "adopt",
		secret: pointed(2, 1, 2, 3), act: adopt,
		steps: "make every replica take the store as it is, with version 2 active (previous 1, serial 1800000000)",
		says:  "deskmint secret status --prefix",
	},
	{
		name:   "adopt again",
		secret: pointed(2, 1, 2, planNow), act: adopt,
		steps: "make every replica take the store as it is, with version 2 active (previous 1, serial 1800000001)",
		says:  "those are lost",
	},
	{
		name:   "adopt: no pointer",
		secret: unpinned(2), act: adopt,
		steps: "make every replica take the store as it is, with version 2 active (previous 1, serial 1800000000)",
		says:  "those are lost",
	},
	{
		name:   "adopt: switched off",
		secret: pointed(2, 1, 2, 3), change: []func(*fakeStore){disabled}, act: adopt,
		steps: "make every replica take the store as it is, with version 2 active (previous 1, serial 1800000000)",
		says:  "switched off",
	},
	{
		name:   "adopt: wiped",
		secret: unpinned(2), change: []func(*fakeStore){marked(2, secrets.Mark{Staged: true})}, act: adopt,
		says: "Activate the version that shall sign",
	},
	{
		name:   "adopt: in a file",
		secret: pointed(2, 1, 2, 0), change: []func(*fakeStore){revision}, act: adopt,
		says: "nothing to adopt",
	},
	{
		name:   "adopt: no version",
		secret: secrets.Status{}, act: adopt,
		says: "no version",
	},
	{
		name:   "adopt: the active one was deleted",
		secret: pointed(2, 1, 2, 3, 2), act: adopt,
		says: "version 2 was deleted",
	},
}
