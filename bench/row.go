package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
	"time"
)

// Row is one measurement: a peer, a point and a round. Every row has all the
// named fields, with 0 where one has no meaning; a case adds its own.
type Row struct {
	Case      string  `json:"case"`
	Peer      string  `json:"peer"`
	Round     int     `json:"round"`
	Slots     int     `json:"slots"`
	N         int     `json:"n"`
	Seconds   float64 `json:"seconds"`
	JobsPerS  float64 `json:"jobs_per_s"`
	RedisCPU  float64 `json:"redis_cpu_us_per_job"`
	ClientCPU float64 `json:"client_cpu_us_per_job"`
	Calls     float64 `json:"calls_per_job"`
	Settings  string  `json:"settings"`
	Server    string  `json:"server"`
	more      []field
}

type field struct {
	name  string
	value any
}

// Add appends a field of the case. The order of calls is the order of output.
func (r *Row) Add(name string, value any) { r.more = append(r.more, field{name, value}) }

// MarshalJSON puts the case's fields behind the common ones.
func (r Row) MarshalJSON() ([]byte, error) {
	type plain Row // without this method
	b, err := json.Marshal(plain(r))
	if err != nil {
		return nil, err
	}
	buf := bytes.NewBuffer(b[:len(b)-1])
	for _, f := range r.more {
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, fmt.Errorf("row: %s: %w", f.name, err)
		}
		fmt.Fprintf(buf, ",%q:%s", f.name, value)
	}
	buf.WriteByte('}')
	return buf.Bytes(), nil
}

// time sets the length of the run and the rate.
func (r *Row) time(d time.Duration) {
	r.Seconds = round(d.Seconds(), 6)
	if d > 0 {
		r.JobsPerS = round(float64(r.N)/d.Seconds(), 1)
	}
}

// cost sets what a job took from server, client and wire between two readings.
func (r *Row) cost(before, after reading) {
	if r.N == 0 {
		return
	}
	n := float64(r.N)
	r.RedisCPU = round((after.redisCPU-before.redisCPU)*1e6/n, 2)
	r.ClientCPU = round((after.clientCPU-before.clientCPU)*1e6/n, 2)
	r.Calls = round(float64(after.requests-before.requests)/n, 4)
}

func round(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}

// output prints rows as they are measured, or as a table when close is called.
type output struct {
	w    io.Writer
	json bool
	rows []Row
}

func (o *output) row(r Row) error {
	if !o.json {
		o.rows = append(o.rows, r)
		return nil
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.w, "%s\n", b)
	return err
}

// close prints the table. The rows of one output belong to one case and
// therefore have the same columns.
func (o *output) close() error {
	if len(o.rows) == 0 {
		return nil
	}
	first := o.rows[0]
	fmt.Fprintf(o.w, "%s on %s\n\n", first.Case, first.Server)
	tw := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "peer\tround\tslots\tn\tseconds\tjobs/s\tredis µs/job\tclient µs/job\tcalls/job\t")
	for _, f := range first.more {
		fmt.Fprintf(tw, "%s\t", f.name)
	}
	fmt.Fprintln(tw)
	for _, r := range o.rows {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%.3f\t%.0f\t%.1f\t%.1f\t%.3f\t",
			r.Peer, r.Round, r.Slots, r.N, r.Seconds, r.JobsPerS, r.RedisCPU, r.ClientCPU, r.Calls)
		for _, f := range r.more {
			fmt.Fprintf(tw, "%s\t", cell(f.value))
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(o.w)
	printed := make(map[string]bool)
	for _, r := range o.rows {
		if !printed[r.Settings] {
			printed[r.Settings] = true
			if _, err := fmt.Fprintf(o.w, "%s: %s\n", r.Peer, r.Settings); err != nil {
				return err
			}
		}
	}
	return nil
}

func cell(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return fmt.Sprint(v)
}
