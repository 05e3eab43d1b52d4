package txn

import (
	"maps"
	"slices"
)

// Commands names the commands of the two tables, those that read and those that write, each in alphabetical order.
func Commands() (reading, writing []string) {
	return slices.Sorted(maps.Keys(reads)), slices.Sorted(maps.Keys(writes))
}
