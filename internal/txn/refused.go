package txn

import (
	"fmt"
	"slices"
	"strings"
)

// refusals are the commands that are often wanted and in neither table, with the reason.
var refusals = []struct{ reason, names string }{
	{"its answer is random, so it could not be asked again", "RANDOMKEY SRANDMEMBER HRANDFIELD ZRANDMEMBER SPOP"},
	{"it blocks", "BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF"},
	{"its answer changes with the time", "TTL PTTL EXPIRETIME PEXPIRETIME HTTL HPTTL HEXPIRETIME HPEXPIRETIME OBJECT TIME " +
		"LASTSAVE"},
	{"it looks at the whole key space, which no commit could check", "KEYS SCAN DBSIZE"},
	{"it reads by cursor, and what a cursor answers is not settled by the key; read all of it", "HSCAN SSCAN ZSCAN"},
	{"it changes the whole key space", "FLUSHALL FLUSHDB SWAPDB"},
	{"it writes and answers at once, and a transaction writes only when it commits; read first, then write",
		"GETEX GETDEL GETSET PFCOUNT PFADD LMOVE RPOPLPUSH LMPOP ZPOPMIN ZPOPMAX ZMPOP SETNX MSETNX HGETDEL HGETEX " +
			"HSETEX RENAMENX COPY BITFIELD SORT XREADGROUP XCLAIM XAUTOCLAIM XACK"},
	{"what it writes depends on what other keys hold; read them, then write the result",
		"BITOP SDIFFSTORE SINTERSTORE SUNIONSTORE ZDIFFSTORE ZINTERSTORE ZUNIONSTORE ZRANGESTORE GEOSEARCHSTORE PFMERGE " +
			"RENAME"},
	{"it is a transaction of its own", "MULTI EXEC DISCARD WATCH UNWATCH"},
	{"what a script does cannot be told beforehand", "EVAL EVALSHA EVAL_RO EVALSHA_RO SCRIPT FCALL FCALL_RO FUNCTION"},
	{"it is about the connection or the server, not about keys", "AUTH CLIENT CONFIG COMMAND DEBUG ECHO HELLO INFO " +
		"MONITOR PING QUIT RESET SELECT PUBLISH SPUBLISH SUBSCRIBE PSUBSCRIBE SSUBSCRIBE"},
	{"use SET with EX or PX", "SETEX PSETEX"},
	{"use HSET", "HMSET"},
}

// refuse is the error for a command that is in neither table.
func refuse(args []string) error {
	name := args[0]
	if name == "XREAD" {
		for _, arg := range args[1:] {
			if strings.EqualFold(arg, "BLOCK") {
				return fmt.Errorf("%s cannot be used in a transaction: it blocks", name)
			}
		}
		return fmt.Errorf("%s cannot be used in a transaction: use XRANGE", name)
	}
	for _, r := range refusals {
		if slices.Contains(strings.Fields(r.names), name) {
			return fmt.Errorf("%s cannot be used in a transaction: %s", name, r.reason)
		}
	}
	return fmt.Errorf("%.40q cannot be used in a transaction: it is not in the tables", name)
}
