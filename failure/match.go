package failure

import "reflect"

// maxSearch is how many errors Is and As look at: more than any real tree has,
// and an end for one that leads back to itself.
const maxSearch = 10_000

// Resolve attaches the errors this process has declared to those parts of a
// decoded failure that carry their names, so that errors.Is and errors.As find
// them. A name that is not declared here, and a value that does not decode into
// the declared type, match nothing. A second call with another set adds to the
// first. It must not run beside other uses of f.
func (f *Failure) Resolve(known *Known) {
	left := maxSearch
	f.resolve(known, 0, &left)
}

func (f *Failure) resolve(known *Known, depth int, left *int) {
	if f == nil || depth > captureDepth || *left == 0 {
		return
	}
	*left--
	if f.err == nil && f.known == nil && f.Name != "" {
		f.known = known.lookup(f.Name, f.Value)
	}
	for _, cause := range f.Causes {
		cause.resolve(known, depth+1, left)
	}
}

// Is reports whether target is anywhere in the tree; [errors.Is] calls it.
func (f *Failure) Is(target error) bool {
	return f.search(func(e error) bool {
		if same(e, target) {
			return true
		}
		x, ok := e.(interface{ Is(error) bool })
		return ok && !isFailure(e) && x.Is(target)
	})
}

// As finds the first error in the tree that fits target, and sets target to it;
// [errors.As] calls it. It panics if target is not a non-nil pointer.
func (f *Failure) As(target any) bool {
	v := reflect.ValueOf(target).Elem()
	return f.search(func(e error) bool {
		if reflect.TypeOf(e).AssignableTo(v.Type()) {
			v.Set(reflect.ValueOf(e))
			return true
		}
		x, ok := e.(interface{ As(any) bool })
		return ok && !isFailure(e) && x.As(target)
	})
}

func isFailure(e error) bool { _, ok := e.(*Failure); return ok }

// search calls match for each error of the tree, parents first, until it says
// yes. Where there is an original error, it covers the causes as well, also
// those that were left out. A Failure's own Is and As are not called: they would
// each start a search of their own, and two that refer to each other would never
// end.
func (f *Failure) search(match func(error) bool) bool {
	if f == nil {
		return false
	}
	todo := []error{f}
	for range maxSearch {
		if len(todo) == 0 {
			return false
		}
		e := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if e == nil {
			continue
		}
		if match(e) {
			return true
		}
		var next []error
		if g, ok := e.(*Failure); !ok {
			next = unwrap(e)
		} else if g != nil && g.err != nil {
			next = []error{g.err}
		} else if g != nil {
			next = append(next, g.known)
			for _, cause := range g.Causes {
				if cause != nil {
					next = append(next, cause)
				}
			}
		}
		for i := len(next) - 1; i >= 0; i-- {
			todo = append(todo, next[i])
		}
	}
	return false
}
