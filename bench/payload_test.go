package main

import "testing"

func TestPayload(t *testing.T) {
	// Not parallel: AllocsPerRun counts everybody's.
	for _, size := range []int{minPayload, 150, 1000} {
		for _, index := range []int{0, 7, 1_049_999, 9_999_999_999} {
			p := payload(index, size)
			if got, err := indexOf(p); len(p) != size || err != nil || got != index {
				t.Errorf("size %d: job %d came back as %d (%d bytes, %v)", size, index, got, len(p), err)
			}
		}
	}
	for _, bad := range []string{"", "123", "12345abcde", "-000000001"} {
		if _, err := indexOf(bad); err == nil {
			t.Errorf("%q passes for a payload", bad)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = indexOf("0000000012abcdef") }); n != 0 {
		t.Errorf("indexOf allocates %v times", n)
	}
}
