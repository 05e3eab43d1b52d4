package spool_test

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
)

// stagedConn is one connection of a party.
type stagedConn struct {
	net.Conn
	by   *party
	gone chan struct{} // closed with it
	once sync.Once

	writing bool   // the last call is still being written
	sum     string // the script that it calls, if it asks for it by its sum
	flies   bool   // it was let go and is not answered
	fate    fateOf
}

// scriptOf is the sum of a script that is called by it, or that the script itself is sent.
func scriptOf(p []byte) (sum string, source bool) {
	fields := bytes.SplitN(p, []byte("\r\n"), 6)
	if len(fields) < 5 || p[0] != '*' {
		return "", false
	}
	return string(fields[4]), bytes.EqualFold(fields[2], []byte("eval"))
}

func (c *stagedConn) Write(p []byte) (int, error) {
	s := c.by.stage
	if !c.by.moves() {
		return 0, io.ErrClosedPipe
	}
	s.mu.Lock()
	first := !c.writing
	c.writing = true
	sum, source := "", false
	if first {
		sum, source = scriptOf(p)
	}
	verb := s.verbs[sum]
	if source {
		verb = cmp.Or(s.verbs[c.sum], "eval")
		s.known[c.sum] = true
	} else if c.sum = sum; verb != "" && !s.known[sum] {
		verb = "" // it asks whether the server has the script
	}
	if verb == "" || s.open {
		s.mu.Unlock()
		return c.Conn.Write(p)
	}
	s.order++
	at := &stop{by: c.by, verb: verb, order: s.order, fate: make(chan fateOf, 1)}
	s.stops = append(s.stops, at)
	s.mu.Unlock()
	select {
	case c.fate = <-at.fate:
	case <-c.gone:
		s.mu.Lock()
		s.stops = slices.DeleteFunc(s.stops, func(other *stop) bool { return other == at })
		s.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	switch c.fate {
	case cutOff:
		c.Close()
		return 0, io.ErrClosedPipe
	case diesHere:
		c.by.die()
		return 0, io.ErrClosedPipe
	}
	s.mu.Lock()
	s.busy, c.flies = s.busy+1, true
	s.mu.Unlock()
	n, err := c.Conn.Write(p)
	if err != nil {
		c.landed()
	}
	return n, err
}

func (c *stagedConn) landed() {
	s := c.by.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	s.motion++
	c.writing = false
	if c.flies {
		s.busy, c.flies = s.busy-1, false
	}
}

func (c *stagedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.landed(); err != nil {
		return n, err
	}
	switch c.fate {
	case unheard:
		c.Close()
		return 0, io.EOF
	case diesDone:
		c.by.die()
		return 0, io.EOF
	}
	return n, nil
}

func (c *stagedConn) Close() error {
	c.once.Do(func() {
		close(c.gone)
		c.landed()
		c.by.stage.mu.Lock()
		delete(c.by.conns, c)
		c.by.stage.mu.Unlock()
	})
	if err := c.Conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
