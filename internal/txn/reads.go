package txn

// reads are the commands whose answer depends on the named keys alone, in the forms of Redis 6.2. (The embedded server
// of the tests does not know ZDIFF; it costs a line.)
var reads = map[string]*entry{
	"GET":      {shape: "k", kind: str, empty: null, tell: tellGet, learn: learnGet},
	"MGET":     {shape: "(k)", empty: nulls(1), tell: tellMget, learn: learnMget},
	"STRLEN":   {shape: "k", kind: str, empty: zero, tell: tellStrlen},
	"GETRANGE": {shape: "kii", kind: str, empty: blank},
	"GETBIT":   {shape: "ko", kind: str, empty: zero},
	"BITCOUNT": {shape: "k", rest: bitcountOptions, kind: str, empty: zero},
	"BITPOS":   {shape: "kb[ii]", kind: str, empty: bitpos},

	"EXISTS": {shape: "(k)", empty: zero, tell: tellExists, learn: learnExists},
	"TYPE":   {shape: "k", empty: untyped, tell: tellType, learn: learnType},

	"HGET":    {shape: "ks", kind: hash, empty: null, tell: tellPart(val), learn: learnParts(learnVal, false)},
	"HMGET":   {shape: "k(s)", kind: hash, empty: nulls(2), tell: tellParts(val), learn: learnParts(learnVal, true)},
	"HGETALL": {shape: "k", kind: hash, order: "pairs", empty: nothing, tell: tellAll(pair), learn: learnHgetall},
	"HKEYS":   {shape: "k", kind: hash, order: "set", empty: nothing, tell: tellAll(name), learn: learnNames},
	"HVALS":   {shape: "k", kind: hash, order: "set", empty: nothing, tell: tellAll(only)},
	"HLEN":    {shape: "k", kind: hash, empty: zero, tell: tellCount, learn: learnCount},
	"HEXISTS": {shape: "ks", kind: hash, empty: zero, tell: tellPart(there), learn: learnParts(learnThere, false)},
	"HSTRLEN": {shape: "ks", kind: hash, empty: zero, tell: tellPart(length)},

	"LLEN":   {shape: "k", kind: list, empty: zero, learn: learnCount},
	"LINDEX": {shape: "ki", kind: list, empty: null},
	"LRANGE": {shape: "kii", kind: list, empty: nothing},
	"LPOS":   {shape: "ks", rest: lposOptions, kind: list, empty: lpos},

	"SCARD":      {shape: "k", kind: set, empty: zero, tell: tellCount, learn: learnCount},
	"SISMEMBER":  {shape: "ks", kind: set, empty: zero, tell: tellPart(there), learn: learnParts(learnThere, false)},
	"SMISMEMBER": {shape: "k(s)", kind: set, empty: zeros, tell: tellParts(there), learn: learnParts(learnThere, true)},
	"SMEMBERS":   {shape: "k", kind: set, order: "set", empty: nothing, tell: tellAll(name), learn: learnNames},
	"SINTER":     {shape: "(k)", order: "set", empty: nothing},
	"SUNION":     {shape: "(k)", order: "set", empty: nothing},
	"SDIFF":      {shape: "(k)", order: "set", empty: nothing},

	"ZCARD":            {shape: "k", kind: zset, empty: zero, tell: tellCount, learn: learnCount},
	"ZCOUNT":           {shape: "kcc", kind: zset, empty: zero},
	"ZLEXCOUNT":        {shape: "kxx", kind: zset, empty: zero},
	"ZSCORE":           {shape: "ks", kind: zset, empty: null, tell: tellPart(val), learn: learnParts(learnVal, false)},
	"ZMSCORE":          {shape: "k(s)", kind: zset, empty: nulls(2), tell: tellParts(val), learn: learnParts(learnVal, true)},
	"ZRANK":            {shape: "ks", kind: zset, empty: null},
	"ZREVRANK":         {shape: "ks", kind: zset, empty: null},
	"ZRANGE":           {shape: "kss", rest: zrangeOptions, kind: zset, empty: nothing},
	"ZREVRANGE":        {shape: "kii", rest: rangeOptions("WITHSCORES"), kind: zset, empty: nothing},
	"ZRANGEBYSCORE":    {shape: "kcc", rest: rangeOptions("WITHSCORES LIMIT"), kind: zset, empty: nothing},
	"ZREVRANGEBYSCORE": {shape: "kcc", rest: rangeOptions("WITHSCORES LIMIT"), kind: zset, empty: nothing},
	"ZRANGEBYLEX":      {shape: "kxx", rest: rangeOptions("LIMIT"), kind: zset, empty: nothing},
	"ZREVRANGEBYLEX":   {shape: "kxx", rest: rangeOptions("LIMIT"), kind: zset, empty: nothing},
	"ZINTER":           {shape: "n", rest: combineOptions, empty: nothing},
	"ZUNION":           {shape: "n", rest: combineOptions, empty: nothing},
	"ZDIFF":            {shape: "n", rest: combineOptions, empty: nothing},

	"XLEN":      {shape: "k", kind: stream, empty: zero},
	"XRANGE":    {shape: "krr", rest: xrangeOptions, kind: stream, empty: nothing},
	"XREVRANGE": {shape: "krr", rest: xrangeOptions, kind: stream, empty: nothing},
}

// What reads answer of keys that are not there.

func null(*Command) any    { return nil }
func zero(*Command) any    { return int64(0) }
func blank(*Command) any   { return "" }
func nothing(*Command) any { return []any{} }
func untyped(*Command) any { return "none" }

// nulls is a nil for every argument from one on.
func nulls(from int) func(*Command) any {
	return func(c *Command) any { return make([]any, len(c.Args)-from) }
}

func zeros(c *Command) any {
	out := make([]any, len(c.Args)-2)
	for i := range out {
		out[i] = int64(0)
	}
	return out
}

// bitpos looks for a bit in an empty text, to the right of which there are zeros without end.
func bitpos(c *Command) any {
	if c.Args[2] == "0" {
		return int64(0)
	}
	return int64(-1)
}

func lpos(c *Command) any {
	for i := 3; i < len(c.Args); i += 2 {
		if c.Args[i] == "COUNT" {
			return []any{}
		}
	}
	return nil
}
