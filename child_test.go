package spool_test

import (
	"fmt"
	"os"
)

// children are the programs that tests run as processes of their own: this test binary, started again with the name
// in SPOOL_TEST_CHILD.
var children = map[string]func() error{
	"frozen": childFrozen,
	"worker": childWorker,
	"putter": childPutter,
	"fleet":  childFleet,
	"acts":   childActs,
	"chunks": childChunks,
	"posts":  childPosts,
	"teller": childTeller,
	"heir":   childHeir,
}

func runChild(name string) {
	program := children[name]
	if program == nil {
		fmt.Fprintln(os.Stderr, "no such child:", name)
		os.Exit(2)
	}
	if err := program(); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}
