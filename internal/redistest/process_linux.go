package redistest

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// childAttr has the kernel kill the child when the thread that started it ends.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// standing reports whether the process is stopped. Its state is the letter
// after the name, which is in parentheses and may itself contain anything.
func standing(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return len(state) > 0 && state[0] == 'T'
}
