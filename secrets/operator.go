package secrets

import "errors"

// ErrConflict says that another operator has changed the secret in the meantime.
var ErrConflict = errors.New("another operator has changed it")

// MaxPrefix is the maximum number of characters of a secret that a command compares. Zendesk
// displays about as many.
const MaxPrefix = 8

// Observed is the state of a secret that an operator reads before a change. It holds no value.
type Observed struct {
	Status
	// Place names the secret in errors: the file and line, or the Vault path.
	Place string
	// Keeps is the number of versions that the store keeps before it drops the oldest for good
	// (max_versions of Vault). Zero means all of them.
	Keeps int
	// KeepsFault is the reason why Keeps isn't known, or nil.
	KeepsFault error
	// ReadOnly is the reason why no write can succeed, or nil.
	ReadOnly error
	// Wiped reports that the secret has metadata but no pointer. A write of the whole metadata may
	// have removed the pointer. The latest version is then not the one that signs.
	Wiped bool
	// PointerFault is the reason why the pointer can't be read, or nil. If it isn't nil, the status
	// is that of a secret without a pointer.
	PointerFault error
	// SwitchKeys are further keys of the metadata that replicas accept as the kill switch, such as
	// Disabled in another case. Switching on removes them.
	SwitchKeys []string
	// Fates are remarks on versions: deleted, destroyed, to be deleted at a given time.
	Fates map[Version]string
	// Denied lists the writes that the operator may not make.
	Denied Denied
}

// Denied gives for each kind of write the reason why the operator may not make it, if the store
// reports that in advance. A nil error means that no reason is known. A command checks all writes
// of a change before the first one, because half a change is worse than none.
type Denied struct {
	Write  error // adding a version
	Change error // changing the metadata: the pointer, the serial, the kill switch
	Delete error // deleting a version
}

// Change is what one write sets in a secret's metadata. The store applies all of it or nothing.
type Change struct {
	Active   Version // zero: the pointer stays as it is
	Previous Version // written with Active; zero: none
	Serial   uint64  // zero: it stays as it is, or the store has none
	// Disabled switches the secret off. It is the time of the switch-off. An empty string leaves
	// the switch as it is.
	Disabled string
	// Enabled switches the secret on.
	Enabled bool
}
