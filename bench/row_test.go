package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func commonKeys() []string {
	return []string{"case", "peer", "round", "slots", "n", "seconds", "jobs_per_s", "redis_cpu_us_per_job",
		"client_cpu_us_per_job", "calls_per_job", "settings", "server"}
}

func sampleRow() Row {
	r := Row{Case: "drain", Peer: "asynq", Round: 2, Slots: 10, N: 1000, Settings: "x, \"y\"", Server: "redis 7"}
	r.time(500 * time.Millisecond)
	r.cost(reading{redisCPU: 1, clientCPU: 2, requests: 100}, reading{redisCPU: 1.05, clientCPU: 2.5, requests: 2100})
	r.Add("pending", 12)
	r.Add("p50_ms", 1.25)
	return r
}

func TestRowJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := output{w: &out, json: true}
	if err := o.row(sampleRow()); err != nil {
		t.Fatal(err)
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	want := `{"case":"drain","peer":"asynq","round":2,"slots":10,"n":1000,"seconds":0.5,"jobs_per_s":2000,` +
		`"redis_cpu_us_per_job":50,"client_cpu_us_per_job":500,"calls_per_job":2,"settings":"x, \"y\"","server":"redis 7",` +
		`"pending":12,"p50_ms":1.25}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	// Zeroes stay: every row has every common field.
	b, err := json.Marshal(Row{})
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, key := range commonKeys() {
		if _, ok := m[key]; !ok {
			t.Errorf("no %s in %s", key, b)
		}
	}
}

func TestRowWithoutJobs(t *testing.T) {
	t.Parallel()
	var r Row
	r.cost(reading{}, reading{redisCPU: 1, requests: 3})
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("a row of no jobs cannot be written: %v", err)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := output{w: &out}
	wide := sampleRow()
	wide.Peer, wide.JobsPerS, wide.Settings = "a longer name", 1234567, "other"
	for _, r := range []Row{sampleRow(), wide, sampleRow()} {
		if err := o.row(r); err != nil {
			t.Fatal(err)
		}
	}
	if out.Len() > 0 {
		t.Error("printed before the table was complete")
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "drain on redis 7" {
		t.Errorf("title %q", lines[0])
	}
	table := lines[2:6]
	for _, line := range table {
		if len([]rune(line)) != len([]rune(table[0])) {
			t.Errorf("not aligned:\n%s", out.String())
		}
	}
	if got := strings.Fields(table[1]); !cmp.Equal(got, []string{"asynq", "2", "10", "1000", "0.500", "2000", "50.0", "500.0", "2.000", "12", "1.25"}) {
		t.Errorf("cells %q", got)
	}
	if n := strings.Count(out.String(), `x, "y"`); n != 1 {
		t.Errorf("settings are printed %d times", n)
	}
}
