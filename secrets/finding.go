package secrets

// Level says how much a Finding matters.
type Level int

// The levels. A Fault keeps something from working, or lets somebody do what they
// must not; a Warning will, or may.
const (
	OK Level = iota
	Warning
	Fault
)

// String is ok, warning or fault.
func (l Level) String() string { return [...]string{"ok", "warning", "fault"}[l] }

// Finding is one thing that somebody has looked at on an operator's behalf. It never
// holds a secret, nor anything that a store has answered.
type Finding struct {
	Level Level
	// Where is a file, a key of the configuration file, or a path in the store.
	Where string
	// What was found.
	What string
	// Do is what to do about it; empty where there is nothing to do.
	Do string
}
