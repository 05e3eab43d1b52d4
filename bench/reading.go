package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// reading is what the meters show at one moment; a row is the difference of two.
type reading struct {
	redisCPU  float64 // seconds; 0 where the server does not say
	clientCPU float64 // seconds, this process
	commands  int64   // processed by the server, those inside scripts included
	requests  int64   // sent by the peer
	memory    int64   // used_memory, bytes; 0 where the server does not say
}

func (s *Server) read(ctx context.Context, requests *atomic.Int64) (reading, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return reading{}, err
	}
	number := func(name string) float64 {
		f, _ := strconv.ParseFloat(info[name], 64) // absent is 0
		return f
	}
	return reading{
		redisCPU:  number("used_cpu_sys") + number("used_cpu_user"),
		clientCPU: selfCPU().Seconds(),
		commands:  int64(number("total_commands_processed")),
		requests:  requests.Load(),
		memory:    int64(number("used_memory")),
	}, nil
}

// selfCPU is the processor time of this process, all threads, system included.
func selfCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
