package rotate_test

import "github.com/deskmint/deskmint/secrets"

// stagePlans are the plans of Stage and Replace.
var stagePlans = []planTest{
	{
		name:   "the first version ever",
		secret: secrets.Status{}, act: stage(newValue),
		steps: "write version 1; make version 1 active (serial 1)",
		says:  "first version ever",
	},
	{
		name:   "the first version, in a file",
		secret: secrets.Status{}, change: []func(*fakeStore){revision}, act: stage(newValue),
		steps: "write version 1; make version 1 active",
		says:  "first version ever",
	},
	{
		name:   "no pointer",
		secret: unpinned(1), act: stage(newValue),
		steps: "pin version 1 as the active one (serial 1); write version 2",
		says:  "it is pinned",
	},
	{
		name:   "no pointer, two versions",
		secret: unpinned(2), act: stage(newValue),
		steps: "pin version 2 as the active one (previous 1, serial 1); write version 3",
		says:  "it is pinned",
	},
	{
		name:   "a pointer",
		secret: pointed(2, 1, 2, 4), act: stage(newValue),
		steps:   "write version 3",
		noNotes: true,
	},
	{
		name:   "a pointer, in a file",
		secret: pointed(2, 1, 2, 0), change: []func(*fakeStore){revision}, act: stage(newValue),
		steps:   "write version 3",
		noNotes: true,
	},
	{
		name:   "a value in quotes",
		secret: pointed(2, 1, 2, 4), act: stage(`"` + newValue + `"`),
		steps: "write version 3",
		says:  "WARNING: the value may have been pasted wrongly: it begins or ends with a quotation mark",
	},
	{
		name:   "a value with its name",
		secret: pointed(2, 1, 2, 4), act: replace("ZENDESK_SECRET=" + newValue),
		steps: "write version 3; make version 3 active (previous 2, serial 5)",
		says:  "every sign-in with version 3 fails: stage the secret again",
	},
	{
		name:   "a second staged version",
		secret: pointed(1, 0, 2, 1), act: stage(newValue),
		steps: "write version 3",
		says:  "version 2 is no longer the staged one",
	},
	{
		name:   "staged after a roll-back",
		secret: pointed(1, 2, 2, 3), act: stage(newValue),
		steps: "write version 3",
		says:  "version 2 is no longer the staged one",
	},
	{
		name:   "the active one was deleted",
		secret: pointed(2, 1, 2, 4, 2), act: stage(newValue),
		steps: "write version 3",
		says:  "nothing signs until another one is activated",
	},
	{
		name:   "the value is active",
		secret: pointed(2, 1, 3, 4), act: stage(secretOf(2)),
		says: "that of version 2, which is active: there is nothing to do",
	},
	{
		name:   "the value is staged",
		secret: pointed(2, 1, 3, 4), act: stage(secretOf(3)),
		says: "that of version 3, which is staged: activate it",
	},
	{
		name:   "the value was active before",
		secret: pointed(2, 1, 3, 4), act: stage(secretOf(1)),
		says: "that of version 1, which has been active",
	},
	{
		name:   "the value was deleted",
		secret: pointed(2, 0, 2, 4, 1), act: stage(secretOf(1)),
		steps:   "write version 3",
		noNotes: true,
	},
	{
		name:   "pruning the active one",
		secret: pointed(2, 0, 3, 4), change: []func(*fakeStore){keepVersions(2)}, act: stage(newValue),
		says: "its max_versions is 2, so that writing version 4 would drop version 2, the active " +
			"one, for good: raise max_versions to 3",
	},
	{
		name:   "pruning the previous one",
		secret: pointed(3, 1, 3, 4), change: []func(*fakeStore){keepVersions(3)}, act: stage(newValue),
		says: "version 1, the previous one, for good: raise max_versions to 4",
	},
	{
		name:   "at the limit, without pruning",
		secret: pointed(3, 2, 3, 4), change: []func(*fakeStore){keepVersions(3)}, act: stage(newValue),
		steps:   "write version 4",
		noNotes: true,
	},
	{
		name:   "pruning a deleted version",
		secret: pointed(3, 1, 3, 4, 1), change: []func(*fakeStore){keepVersions(3)}, act: stage(newValue),
		steps:   "write version 4",
		noNotes: true,
	},
	{
		name:   "one version is kept",
		secret: unpinned(1), change: []func(*fakeStore){keepVersions(1)}, act: stage(newValue),
		says: "raise max_versions to 2",
	},
	{
		name:   "one version is kept, the first",
		secret: secrets.Status{}, change: []func(*fakeStore){keepVersions(1)}, act: stage(newValue),
		steps: "write version 1; make version 1 active (serial 1)",
		says:  "first",
	},
	{
		name:   "kept versions unknown",
		secret: pointed(1, 0, 1, 1), change: []func(*fakeStore){unknownKeeps}, act: stage(newValue),
		says: "isn't known, and writing one may drop the active one: mount's config: permission denied",
	},
	{
		name:   "other metadata, no pointer",
		secret: unpinned(3), change: []func(*fakeStore){wiped}, act: stage(newValue),
		says: "version 3 is the latest but maybe not the one that signs",
	},
	{
		name:   "other metadata, one version",
		secret: unpinned(1), change: []func(*fakeStore){wiped}, act: stage(newValue),
		steps: "pin version 1 as the active one (serial 1); write version 2",
		says:  "it is pinned",
	},
	{
		name:   "read-only",
		secret: unpinned(1), change: []func(*fakeStore){readOnly}, act: stage(newValue),
		says: "a read-only mount",
	},
	{
		name:   "replace: first",
		secret: secrets.Status{}, act: replace(newValue),
		steps: "write version 1; make version 1 active (serial 1)",
		says:  "first version ever",
	},
	{
		name:   "replace: no pointer",
		secret: unpinned(1), act: replace(newValue),
		steps: "pin version 1 as the active one (serial 1); write version 2; " +
			"make version 2 active (previous 1, serial 2)",
		says: "it is pinned",
	},
	{
		name:   "replace: a pointer",
		secret: pointed(1, 2, 2, 5), act: replace(newValue),
		steps: "write version 3; make version 3 active (previous 1, serial 6)",
		says:  "version 2 is no longer",
	},
	{
		name:   "replace: in a file",
		secret: unpinned(1), change: []func(*fakeStore){revision}, act: replace(newValue),
		steps: "pin version 1 as the active one; write version 2; make version 2 active (previous 1)",
		says:  "it is pinned",
	},
	{
		name:   "replace: switched off",
		secret: pointed(1, 0, 1, 5), change: []func(*fakeStore){disabled}, act: replace(newValue),
		steps: "write version 2; make version 2 active (previous 1, serial 6)",
		says:  "switched off",
	},
	{
		name:   "replace: moving the pointer isn't allowed",
		secret: pointed(1, 0, 1, 5), change: []func(*fakeStore){denyChanges}, act: replace(newValue),
		says: "you may not make version 2 active (previous 1, serial 6): permission denied",
	},
	{
		name:   "stage: moving the pointer isn't allowed",
		secret: pointed(1, 0, 1, 5), change: []func(*fakeStore){denyChanges}, act: stage(newValue),
		steps:   "write version 2",
		noNotes: true,
	},
	{
		name:   "the first version: moving the pointer isn't allowed",
		secret: secrets.Status{}, change: []func(*fakeStore){denyChanges}, act: stage(newValue),
		says: "you may not make version 1 active",
	},
	{
		name:   "replace: the value is staged",
		secret: pointed(1, 0, 2, 1), act: replace(secretOf(2)),
		says: "which is staged: activate it",
	},
	{
		name:   "a pointer that can't be read",
		secret: unpinned(1), change: []func(*fakeStore){malformedPointer}, act: stage(newValue),
		says: "its pointer can't be read: active_version is no number. The replicas' /readyz names",
	},
	{
		name:    "stage: switched off, with a mark",
		secret:  pointed(1, 0, 2, 1),
		change:  []func(*fakeStore){disabled, marked(2, offMark(2, 1))},
		act:     stage(newValue),
		steps:   "write version 3",
		noNotes: true,
	},
	{
		name:   "replace: switched off, with a mark",
		secret: pointed(1, 0, 2, 1),
		change: []func(*fakeStore){disabled, marked(2, offMark(2, 1))},
		act:    replace(newValue),
		steps:  "write version 3; make version 3 active (previous 1, serial 2)",
		says:   "switched off",
	},
	{
		name:   "stage: interrupted before",
		secret: unpinned(1),
		change: []func(*fakeStore){marked(1, secrets.Mark{Staged: true})},
		act:    stage(secretOf(1)),
		says:   "isn't pinned yet: activate it by its number",
	},
	{
		name:   "stage: marks can't be read",
		secret: unpinned(2), change: []func(*fakeStore){unreadableMark(2)}, act: stage(newValue),
		says: "can't be read",
	},
	{
		name:   "stage: wiped",
		secret: unpinned(2), change: []func(*fakeStore){marked(2, secrets.Mark{Staged: true})}, act: stage(newValue),
		says: "its metadata were wiped",
	},
	{
		name:   "stage: wiped, one version",
		secret: unpinned(1), change: []func(*fakeStore){marked(1, secrets.Mark{Staged: true})}, act: stage(newValue),
		steps: "pin version 1 as the active one (serial 1); write version 2",
		says:  "it is pinned",
	},
	{
		name:   "stage: the value of a mark",
		secret: pointed(1, 0, 2, 1, 1),
		change: []func(*fakeStore){marked(2, offMark(2, 1))},
		act:    stage(secretOf(2)),
		steps:  "write version 3",
		says:   "nothing signs until",
	},
}
