package secrets

// Level is the severity of a Finding.
type Level int

// The levels. A Fault is a condition that prevents sign-ins or permits an action that must be
// forbidden. A Warning is a condition that will become a Fault, or may.
const (
	OK Level = iota
	Warning
	Fault
)

// String returns ok, warning or fault.
func (l Level) String() string { return [...]string{"ok", "warning", "fault"}[l] }

// A Finding is the result of one check of `deskmint doctor`. It never holds a secret or an answer
// of a store.
type Finding struct {
	Level Level
	// Where is a file, a key of the configuration file, or a path in the store.
	Where string
	// What describes the condition.
	What string
	// Do says what to do about it. It is empty if there is nothing to do.
	Do string
}
