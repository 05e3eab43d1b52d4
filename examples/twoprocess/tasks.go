package main

import "github.com/spooljobs/spool"

// What the two sides share is the task: its name, its types and its defaults. In a larger program this is a package of
// its own, which both import.
var squareOf = spool.NewTask[int, square]("twoprocess.square", spool.In(queue))

// square is a result. It says who computed it.
type square struct {
	Value   int
	Process int
}

const queue = "twoprocess"
