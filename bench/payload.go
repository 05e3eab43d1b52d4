package main

import (
	"errors"
	"fmt"
	"strconv"
)

// minPayload leaves room for the job's number and the frame a peer may put
// around the bytes.
const minPayload = 16

const indexDigits = 10

// payload returns size bytes that begin with the job's number. It is plain
// text, so that a peer that wants a string can carry it unchanged.
func payload(index, size int) []byte {
	b := make([]byte, size)
	copy(b, fmt.Sprintf("%0*d", indexDigits, index))
	for i := indexDigits; i < size; i++ {
		b[i] = 'a' + byte(i%26)
	}
	return b
}

// payloads returns those of the jobs from up to and without to.
func payloads(from, to, size int) [][]byte {
	list := make([][]byte, 0, to-from)
	for i := from; i < to; i++ {
		list = append(list, payload(i, size))
	}
	return list
}

// indexOf is payload's inverse. It allocates nothing: it runs in every handler.
func indexOf[T ~string | ~[]byte](p T) (int, error) {
	if len(p) < indexDigits {
		return 0, errors.New("payload: too short to bear a number")
	}
	n := 0
	for i := range indexDigits {
		d := p[i]
		if d < '0' || d > '9' {
			return 0, errors.New("payload: does not begin with a number: " + strconv.Quote(string(p[:indexDigits])))
		}
		n = n*10 + int(d-'0')
	}
	return n, nil
}
