package txn

import (
	"math"
	"strconv"
	"strings"
)

// integer reads an integer as Redis does, who takes only the one form that he would write himself: no sign but a
// minus, no leading zero, no space.
func integer(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

// plus adds two integers, and says whether the sum fits.
func plus(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}

// decimal reads a number as Redis does: decimal, perhaps with an exponent, or an infinity. What is too large, or too
// small to be told from zero, is none. Redis would also take hexadecimal ones, which the checks could not read.
func decimal(s string) (float64, bool) {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 {
		return 0, false
	}
	switch strings.ToLower(digits) {
	case "inf", "infinity":
		if s[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	}
	if strings.Trim(digits, "0123456789.eE+-") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, false
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(digits), "e")
	return f, f != 0 || strings.Trim(mantissa, "0.") == ""
}

// finite reads a number that is no infinity.
func finite(s string) (float64, bool) {
	f, ok := decimal(s)
	return f, ok && isFinite(f)
}

// score writes a score as Redis does. Of a fraction it writes the fewest digits that read back, as new servers do;
// those before 7.2 write seventeen. Both are the same number.
func score(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case f == 0 || math.Abs(f) >= 1e-4 && math.Abs(f) < 1e17:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'e', -1, 64)
}

// entryID reports whether s is the id of a stream entry, with or without its sequence.
func entryID(s string) bool {
	ms, seq, both := strings.Cut(s, "-")
	return unsigned(ms) && (!both || unsigned(seq))
}

func unsigned(s string) bool {
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && strconv.FormatUint(n, 10) == s
}

func isFinite(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }
