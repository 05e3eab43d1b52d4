package store

import (
	"math/rand/v2"
	"testing"
	"testing/quick"
)

// Stored ids and those users see are one to one, and a user's own id never has the form of one that Spool drew.
func TestPackedIDsAreBijective(t *testing.T) {
	for range 1000 {
		id := drawn()
		stored := PackID(id)
		if len(stored) != packed || UnpackID(stored) != id || !Generated(id) {
			t.Fatalf("%s is stored as %q, seen as %s", id, stored, UnpackID(stored))
		}
		if PackID(stored) != stored {
			t.Fatalf("%s packs twice", id)
		}
	}
	legal := func(n uint8, seed uint64) bool {
		r := rand.New(rand.NewPCG(seed, 0))
		id := make([]byte, 1+int(n)%128)
		for i := range id {
			for id[i] = byte(r.UintN(256)); id[i] <= ' ' || id[i] == '/' || id[i] == '{' || id[i] == '}'; {
				id[i] = byte(r.UintN(256))
			}
		}
		own := string(id)
		return Generated(own) || (PackID(own) == own && UnpackID(own) == own)
	}
	if err := quick.Check(legal, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
	for _, own := range []string{
		"0123456789abcdef", "!!!!!!!!!!!!!!!!", // 16 bytes, like a packed one
		"20000000000070000000000000000000", "ffffffffffff7fffffffffffffffffff", // after the year 3084
		"01A1FD546F287C1C9590F96B77EC1E66", "01a1fd546f284c1c9590f96b77ec1e66", "01a1fd546f28-7c1c9590f96b77ec1e6", "zza1fd546f287c1c9590f96b77ec1e66",
		"", "x",
	} {
		if Generated(own) || PackID(own) != own || UnpackID(own) != own {
			t.Errorf("%q is taken for one of Spool's", own)
		}
	}
}

func FuzzIDs(f *testing.F) {
	f.Add("01a1fd546f287c1c9590f96b77ec1e66", "\x01\xa1\xfdTo(|\x1c\x95\x90\xf9kw\xec\x1ef")
	f.Add("a", "b")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, id := range []string{a, b} {
			if legalID(id) && UnpackID(PackID(id)) != id {
				t.Errorf("%q comes back as %q", id, UnpackID(PackID(id)))
			}
		}
		if legalID(a) && legalID(b) && a != b && PackID(a) == PackID(b) {
			t.Errorf("%q and %q are stored alike", a, b)
		}
	})
}

func legalID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' {
			return false
		}
	}
	return id != ""
}
