package spool

import "strings"

// Limits of names, in bytes.
const (
	maxTaskName  = 128
	maxQueueName = 64
	maxID        = 128
)

// checkName allows what is safe in a key, in a hash tag and in an index: letters, digits and . _ - : above all no
// braces, blanks or slashes.
func checkName(field, name string, most int) error {
	if name == "" || len(name) > most {
		return &FieldError{field, name, "must have 1 to " + itoa(most) + " bytes"}
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-', c == ':':
		default:
			return &FieldError{field, name, "may hold letters, digits and . _ - : only"}
		}
	}
	return nil
}

// checkID allows any byte above a blank but slashes and braces.
func checkID(id string) error {
	if id == "" || len(id) > maxID {
		return &FieldError{"ID", id, "must have 1 to " + itoa(maxID) + " bytes"}
	}
	for _, c := range []byte(id) {
		if c <= ' ' || strings.IndexByte("/{}", c) >= 0 {
			return &FieldError{"ID", id, "may hold no blanks, control bytes, slashes or braces"}
		}
	}
	return nil
}
