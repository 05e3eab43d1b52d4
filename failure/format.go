package failure

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Format prints the message for %v, %s and %q. With %+v it prints everything:
//
//	*bank.Refused: transfer 7: insufficient funds
//	    in bank.Transfer (transfer.go:41)
//	        Amount = 100
//	  caused by *errors.errorString: insufficient funds [bank.insufficient]
//
// Outer frames are marked. It stops after 256 KiB, or 256 causes; so it ends for a
// Failure that someone has made its own cause.
func (f *Failure) Format(s fmt.State, verb rune) {
	switch {
	case f == nil:
		_, _ = io.WriteString(s, "<nil>")
	case verb == 'q':
		_, _ = io.WriteString(s, strconv.Quote(f.Message))
	case verb == 'v' && (s.Flag('+') || s.Flag('#')):
		p := verbose{left: captureNodes, room: maxVerbose}
		p.failure(f, "", "")
		_, _ = io.WriteString(s, strings.TrimSuffix(string(p.buf), "\n"))
	default:
		_, _ = io.WriteString(s, f.Message)
	}
}

// maxVerbose is how many bytes the verbose form takes, at most.
const maxVerbose = 256 << 10

type verbose struct {
	buf  []byte
	left int // failures that may still be printed
	room int // bytes that may still be printed
}

func (p *verbose) text(parts ...string) {
	for _, s := range parts {
		switch {
		case p.room < 0: // cut already
		case len(s) > p.room:
			p.buf = append(append(p.buf, s[:p.room]...), mark...)
			p.room = -1
		default:
			p.buf = append(p.buf, s...)
			p.room -= len(s)
		}
	}
}

func (p *verbose) failure(f *Failure, indent, label string) {
	p.left--
	p.text(indent, label, strings.ReplaceAll(f.head(), "\n", "\n"+indent+"    "))
	if f.Name != "" {
		p.text(" [", f.Name, "]")
	}
	p.text("\n")
	for _, fr := range f.Frames {
		p.frame(fr, indent+"    ")
	}
	omitted := f.Omitted
	for _, cause := range f.Causes {
		switch {
		case cause == nil:
		case p.left <= 0 || p.room < 0 || len(indent) >= 2*captureDepth:
			omitted++
		default:
			p.failure(cause, indent+"  ", "caused by ")
		}
	}
	if omitted > 0 {
		p.text(indent, "  ", mark, " causes left out: ", strconv.Itoa(omitted), "\n")
	}
}

func (p *verbose) frame(fr Frame, indent string) {
	p.text(indent, "in ", fr.Func)
	if fr.File != "" {
		p.text(" (", base(fr.File), ":", strconv.Itoa(fr.Line), ")")
	}
	if fr.Outer {
		p.text(" outside")
	}
	p.text("\n")
	for _, v := range fr.Vars {
		p.text(indent, "    ", v.Name, " = ", strings.ReplaceAll(v.Value, "\n", "\n"+indent+"    "), "\n")
	}
}

func base(file string) string {
	return file[strings.LastIndexAny(file, `/\`)+1:]
}

func oneLine(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(s)
}
