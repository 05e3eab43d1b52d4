package failure

import "slices"

// The stored form. Costs are bytes of JSON; see cost.
const (
	valueRunes = 20 // TW-27

	typeCost    = 128
	messageCost = 1024 // of the failure itself
	causeCost   = 256  // of the message of a cause
	pathCost    = 120  // of a function's or file's name
	varNameCost = 48

	storedDepth = 16   // levels of causes
	storedCost  = 7800 // all of it: under 8 KiB, with room for the braces around
	framesCost  = 4300 // of which frames
	frameCost   = 4000 // of which the variables of one frame: twenty, whatever they hold
	storedLines = 24   // frames of one failure

	maxNumber = 99_999_999 // of a line, or of causes left out: what the overheads allow for

	nodeOverhead  = len(`{"type":"","message":"","panic":true,"name":"","value":"","frames":[],"causes":[],"omitted":99999999},`)
	frameOverhead = len(`{"func":"","file":"","line":99999999,"vars":[]},`)
	varOverhead   = len(`{"name":"","value":""},`)
	markVarCost   = varOverhead + len(mark)
	markFrameCost = frameOverhead + len(mark)
)

// stored returns a copy in the form that is stored. It does not change what is in
// that form already: stored(stored(f)) equals stored(f). This is what makes
// encoding idempotent (TW-31), with no flag that could be wrong once someone has
// written to a field. It holds because each part is kept as it is if it fits, a
// cut part fits, and the second pass meets the same parts with the same room
// left; what was dropped only makes room.
func (f *Failure) stored() *Failure {
	s := storing{left: storedCost, frames: framesCost}
	return s.failure(f, 0)
}

type storing struct {
	left   int // cost still allowed
	frames int // cost still allowed to frames
	full   bool
}

// failure returns nil if there is no room. Failures are taken parents first; the
// first that does not fit ends it, so that what is left out is the end.
func (s *storing) failure(f *Failure, depth int) *Failure {
	limit := messageCost
	if depth > 0 {
		limit = causeCost
	}
	n := &Failure{
		Type:    cut(f.Type, typeCost, typeCost),
		Message: cut(f.Message, limit, limit),
		Panic:   f.Panic,
		Omitted: number(f.Omitted),
	}
	if validName(f.Name) {
		n.Name = f.Name
	}
	c := nodeOverhead + costOf(n.Type) + costOf(n.Message) + len(n.Name)
	if c > s.left {
		s.full = true
		return nil
	}
	s.left -= c
	if c := (len(f.Value) + 2) / 3 * 4; n.Name != "" && 0 < len(f.Value) && len(f.Value) <= maxValue && c <= s.left {
		n.Value = slices.Clone(f.Value)
		s.left -= c
	}
	n.Frames = s.trace(f.Frames)
	for _, cause := range f.Causes {
		if cause == nil {
			continue
		}
		if !s.full && depth+1 < storedDepth {
			if kept := s.failure(cause, depth+1); kept != nil {
				n.Causes = append(n.Causes, kept)
				continue
			}
		}
		n.Omitted = number(n.Omitted + 1)
	}
	return n
}

func number(n int) int { return min(max(n, 0), maxNumber) }

// trace keeps the inner frames. If they do not all fit, the last one stays,
// which is the handler's, and as many of the first as there is room for.
func (s *storing) trace(frames []Frame) []Frame {
	room := min(s.left, s.frames)
	var all []Frame
	total := 0
	for _, fr := range frames {
		if fr.Outer {
			continue
		}
		fr, c := storedFrame(fr)
		all = append(all, fr)
		total += c
	}
	if len(all) == 0 {
		return nil
	}
	if total > room || len(all) > storedLines {
		last, c := storedFrame(all[len(all)-1])
		total = c + markFrameCost
		if total > room {
			return nil
		}
		kept := 0
		for kept < min(len(all)-1, storedLines-2) {
			_, c := storedFrame(all[kept])
			if total+c > room {
				break
			}
			total += c
			kept++
		}
		all = append(slices.Clip(all[:kept]), Frame{Func: mark}, last)
	}
	s.left -= total
	s.frames -= total
	return all
}

func storedFrame(f Frame) (Frame, int) {
	out := Frame{Func: cutFront(f.Func, pathCost), File: cutFront(f.File, pathCost), Line: number(f.Line)}
	c := frameOverhead + costOf(out.Func) + costOf(out.File)
	room := frameCost
	for i, v := range f.Vars {
		v = Var{cut(v.Name, varNameCost, varNameCost), cut(v.Value, valueRunes, valueRunes*6)}
		vc := varOverhead + costOf(v.Name) + costOf(v.Value)
		if rest := len(f.Vars) - i - 1; vc > room || rest > 0 && vc+markVarCost > room {
			out.Vars = append(out.Vars, Var{Name: mark})
			return out, c + markVarCost
		}
		room -= vc
		c += vc
		out.Vars = append(out.Vars, v)
	}
	return out, c
}
