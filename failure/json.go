package failure

import (
	"encoding/json"
	"fmt"
)

// The JSON form has the content of the stored form, nested, in plain words.
type (
	jsonFailure struct {
		Type    string         `json:"type,omitempty"`
		Message string         `json:"message"`
		Panic   bool           `json:"panic,omitempty"`
		Name    string         `json:"name,omitempty"`
		Value   []byte         `json:"value,omitempty"`
		Frames  []jsonFrame    `json:"frames,omitempty"`
		Causes  []*jsonFailure `json:"causes,omitempty"`
		Omitted int            `json:"omitted,omitempty"`
	}
	jsonFrame struct {
		Func string    `json:"func"`
		File string    `json:"file,omitempty"`
		Line int       `json:"line,omitempty"`
		Vars []jsonVar `json:"vars,omitempty"`
	}
	jsonVar struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
)

// MarshalJSON returns the stored form in JSON, in less than 8 KiB. Reading it back
// and writing it again gives the same bytes.
func (f *Failure) MarshalJSON() ([]byte, error) {
	if f == nil {
		return []byte("null"), nil
	}
	return json.Marshal(toJSON(f.stored()))
}

// UnmarshalJSON reads what [Failure.MarshalJSON] wrote, with the care of [Decode].
// As is the custom, null leaves f as it is.
func (f *Failure) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if len(b) > maxInput {
		return fmt.Errorf("%w: %d bytes of JSON", ErrMalformed, len(b))
	}
	var j jsonFailure
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	*f = *fromJSON(&j).restored()
	return nil
}

func toJSON(f *Failure) *jsonFailure {
	j := &jsonFailure{
		Type: f.Type, Message: f.Message, Panic: f.Panic,
		Name: f.Name, Value: f.Value, Omitted: f.Omitted,
	}
	for _, fr := range f.Frames {
		jf := jsonFrame{Func: fr.Func, File: fr.File, Line: fr.Line}
		for _, v := range fr.Vars {
			jf.Vars = append(jf.Vars, jsonVar(v))
		}
		j.Frames = append(j.Frames, jf)
	}
	for _, cause := range f.Causes {
		j.Causes = append(j.Causes, toJSON(cause))
	}
	return j
}

// fromJSON recurses as deep as the input nests, which its size and the JSON
// decoder bound.
func fromJSON(j *jsonFailure) *Failure {
	f := &Failure{
		Type: j.Type, Message: j.Message, Panic: j.Panic,
		Name: j.Name, Value: j.Value, Omitted: j.Omitted,
	}
	for _, jf := range j.Frames {
		fr := Frame{Func: jf.Func, File: jf.File, Line: jf.Line}
		for _, v := range jf.Vars {
			fr.Vars = append(fr.Vars, Var(v))
		}
		f.Frames = append(f.Frames, fr)
	}
	for _, cause := range j.Causes {
		if cause != nil {
			f.Causes = append(f.Causes, fromJSON(cause))
		}
	}
	return f
}
