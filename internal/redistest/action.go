package redistest

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Action is what a Proxy does with one command. The zero Action is Pass.
type Action struct {
	kind  actionKind
	delay time.Duration
	gate  <-chan struct{}
}

type actionKind uint8

const (
	pass actionKind = iota
	dropReply
	cutBefore
	delayReply
	hold
	holdReply
)

// Pass lets the command and its reply through.
func Pass() Action { return Action{} }

// DropReply lets the command through and waits for its reply. The reply is
// thrown away and the connection cut: the command was executed, and the client
// cannot know. Replies to earlier commands are delivered first. Commands
// pipelined behind this one are not forwarded.
func DropReply() Action { return Action{kind: dropReply} }

// CutBefore cuts the connection in place of forwarding the command: it is not
// executed. Earlier commands of the connection are executed and their replies
// delivered first. Commands pipelined behind this one are not forwarded.
func CutBefore() Action { return Action{kind: cutBefore} }

// DelayReply delivers the reply d later than it would have come. Later replies
// of the same connection do not overtake it. A d below zero counts as zero.
func DelayReply(d time.Duration) Action { return Action{kind: delayReply, delay: max(d, 0)} }

// Hold keeps the command back until release is closed, and with it all later
// commands of the connection. It is then forwarded even if its client has given
// up meanwhile, as a packet stuck in a network would be. A nil channel holds it
// until the connection is cut.
func Hold(release <-chan struct{}) Action { return Action{kind: hold, gate: release} }

// HoldReply lets the command through and keeps its reply back until release is
// closed, and with it all later replies of the connection.
func HoldReply(release <-chan struct{}) Action { return Action{kind: holdReply, gate: release} }

// Once returns a function for OnRequest that answers action to the first
// command that begins with words, and Pass to all others. The command's name
// matches in any case, its arguments exactly. With no words it matches any
// command.
func Once(action Action, words ...string) func(cmd []string) Action {
	words = slices.Clone(words)
	if len(words) > 0 {
		words[0] = strings.ToUpper(words[0])
	}
	var used atomic.Bool
	return func(cmd []string) Action {
		if len(cmd) >= len(words) && slices.Equal(cmd[:len(words)], words) && used.CompareAndSwap(false, true) {
			return action
		}
		return Pass()
	}
}
