package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefaultsPerCase(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		n     int
		slots []int
	}{
		"put":     {20_000, []int{1, 10, 100, 500}},
		"putmany": {100_000, []int{1, 10, 100, 500}},
		"drain":   {50_000, []int{1, 10, 100, 500}},
		"latency": {50_000, []int{10}},
		"rtt":     {3_000, []int{100}},
		"backlog": {50_000, []int{100}},
		"memory":  {100_000, []int{1, 10, 100, 500}},
		"idle":    {50_000, []int{10}},
		"tx":      {20_000, []int{10, 100}},
		"tx-hot":  {5_000, []int{16}},
		"flow":    {50_000, []int{100}},
	} {
		p, err := parseParams([]string{"-case", name}, io.Discard)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.N != want.n || !slices.Equal(p.Slots, want.slots) {
			t.Errorf("%s: n %d, slots %v, want %v", name, p.N, p.Slots, want)
		}
		if p.Rounds != 3 || p.Payload != 150 || p.Samples != 500 || p.Idle != 2*time.Second ||
			p.RTT != 10*time.Millisecond || p.Queues != 3 || p.For != 30*time.Second ||
			p.Children != 1_000 || p.Links != 1_000 || !slices.Equal(p.LinkSlots, []int{1, 10}) || p.Waiting != 10_000 ||
			!slices.Equal(p.Shapes, []string{"fanout", "chain", "reactor"}) {
			t.Errorf("%s: defaults differ: %+v", name, p)
		}
		if len(mustCase(t, name).Points(p)) == 0 {
			t.Errorf("%s: no points", name)
		}
	}
}

func mustCase(t *testing.T, name string) Case {
	t.Helper()
	c, ok := caseNamed(name)
	if !ok {
		t.Fatalf("no case %s", name)
	}
	return c
}

// Every case takes every flag, wherever -case stands, and what the command
// line says goes before the case's default.
func TestFlagsWinOverDefaults(t *testing.T) {
	t.Parallel()
	for _, c := range cases() {
		peer := "asynq"
		if c.Name == "tx-hot" || c.Name == "flow" {
			peer = "spool"
		}
		p, err := parseParams([]string{"-n", "7", "-slots", "2, 3", "-peers", peer, "-producers", "4", "-pending", "5",
			"-queues", "6", "-samples", "8", "-idle", "9s", "-rtt", "11ms", "-for", "12s", "-payload", "64", "-rounds", "1",
			"-shapes", "chain", "-children", "13", "-links", "14", "-linkslots", "15", "-waiting", "16",
			"-redis", "host:1", "-json", "-case", c.Name}, io.Discard)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if p.Case != c.Name || p.N != 7 || !slices.Equal(p.Slots, []int{2, 3}) || !slices.Equal(p.Peers, []string{peer}) ||
			!slices.Equal(p.Producers, []int{4}) || !slices.Equal(p.Pending, []int{5}) || p.Queues != 6 || p.Samples != 8 ||
			p.Idle != 9*time.Second || p.RTT != 11*time.Millisecond || p.For != 12*time.Second || p.Payload != 64 ||
			!slices.Equal(p.Shapes, []string{"chain"}) || p.Children != 13 || p.Links != 14 ||
			!slices.Equal(p.LinkSlots, []int{15}) || p.Waiting != 16 || p.Rounds != 1 || p.Redis != "host:1" || !p.JSON {
			t.Errorf("%s: %+v", c.Name, p)
		}
	}
}

func TestFlagsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-case", "nosuch"}, {"-peers", "nosuch"}, {"-peers", "asynq,"}, {"-n", "0"}, {"-n", "-1"}, {"-rounds", "0"},
		{"-slots", "0"}, {"-slots", "1,,2"}, {"-slots", ""}, {"-payload", "15"}, {"-pending", "-1"}, {"-samples", "0"},
		{"-for", "0s"}, {"-rtt", "-1s"}, {"-nosuch"}, {"drain"}, {"-case", "drain", "put"},
		{"-case", "tx-hot", "-peers", "asynq"}, {"-peers", "spool-plain"},
		{"-case", "flow", "-peers", "asynq"}, {"-shapes", "nosuch"}, {"-shapes", ""}, {"-shapes", "chain,"}, {"-children", "0"},
		{"-links", "0"}, {"-linkslots", "1,0"}, {"-waiting", "0"}, {"-case", "tx", "-peers", "spool-watch"},
	} {
		if _, err := parseParams(args, io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}

// What -peers asks for, and who is measured for it.
func TestPeersOfCases(t *testing.T) {
	t.Parallel()
	for _, c := range cases() {
		for asked, want := range map[string]map[string][]string{
			"spool,asynq": {
				"tx":     {"spool", "spool-plain", "spool-watch", "asynq"},
				"tx-hot": {"spool", "spool-watch"},
				"flow":   {"spool"},
				"":       {"spool", "asynq"},
			},
			"asynq,spool": {
				"tx":     {"asynq", "spool", "spool-plain", "spool-watch"},
				"tx-hot": {"spool", "spool-watch"},
				"flow":   {"spool"},
				"":       {"asynq", "spool"},
			},
			"spool": {
				"tx":     {"spool", "spool-plain", "spool-watch"},
				"tx-hot": {"spool", "spool-watch"},
				"flow":   {"spool"},
				"":       {"spool"},
			},
		} {
			names, ok := want[c.Name]
			if !ok {
				names = want[""]
			}
			var got []string
			for _, p := range c.measured(strings.Split(asked, ",")) {
				got = append(got, p.Name())
			}
			if !slices.Equal(got, names) {
				t.Errorf("%s, -peers %s: %v, want %v", c.Name, asked, got, names)
			}
		}
	}
}
