package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
)

// footprint is the memory of this process, without garbage.
type footprint struct {
	InUse int64 // bytes of Go's heap and stacks in use, with the holes between the objects
	RSS   int64 // bytes of the process that are in memory; 0 where the system does not say
}

// inUse are the classes of memory that are added up. A span is counted in full,
// however little of it is taken.
var inUse = [...]string{
	"/memory/classes/heap/objects:bytes",
	"/memory/classes/heap/unused:bytes",
	"/memory/classes/heap/stacks:bytes",
	"/memory/classes/metadata/mspan/inuse:bytes",
}

// readFootprint collects garbage, twice because a sync.Pool holds on to what it
// has for one collection more, and gives free memory back to the system.
func readFootprint() footprint {
	runtime.GC()
	runtime.GC()
	samples := make([]metrics.Sample, len(inUse))
	for i, name := range inUse {
		samples[i].Name = name
	}
	metrics.Read(samples)
	var f footprint
	for _, s := range samples {
		f.InUse += int64(s.Value.Uint64())
	}
	debug.FreeOSMemory()
	f.RSS = residentSet()
	return f
}

// residentSet reads the second number of /proc/self/statm, in pages.
func residentSet() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	words := bytes.Fields(text)
	if len(words) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(words[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
