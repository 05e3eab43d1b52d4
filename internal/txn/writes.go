package txn

// writes are the commands that may be buffered. Their demands on what is stored can be asked before the first of them
// is made, so that none fails once the commit has begun to write.
//
// One demand is not asked: that a string which APPEND makes longer stays below 512 MiB.
var writes = map[string]*entry{
	"SET":         {shape: "ks", rest: setOptions, kind: str, apply: (*Log).set},
	"MSET":        {shape: "(ks)", kind: str, apply: (*Log).mset},
	"APPEND":      {shape: "ks", kind: str, apply: (*Log).append},
	"SETRANGE":    {shape: "kns", rest: rangeFits, kind: str, apply: (*Log).setRange},
	"SETBIT":      {shape: "kob", kind: str, apply: (*Log).setBit},
	"INCR":        {shape: "k", kind: str, apply: (*Log).incr},
	"DECR":        {shape: "k", kind: str, apply: (*Log).incr},
	"INCRBY":      {shape: "ki", kind: str, apply: (*Log).incr},
	"DECRBY":      {shape: "kd", kind: str, apply: (*Log).incr},
	"INCRBYFLOAT": {shape: "kf", kind: str, apply: (*Log).incrFloat},

	"DEL":       {shape: "(k)", apply: (*Log).del},
	"UNLINK":    {shape: "(k)", apply: (*Log).del},
	"EXPIRE":    {shape: "kE", apply: (*Log).expire},
	"PEXPIRE":   {shape: "kP", apply: (*Log).expire},
	"EXPIREAT":  {shape: "kE", apply: (*Log).expireAt},
	"PEXPIREAT": {shape: "kP", apply: (*Log).expireAt},
	"PERSIST":   {shape: "k", apply: (*Log).persist},

	"HSET":         {shape: "k(ss)", kind: hash, apply: (*Log).hset},
	"HSETNX":       {shape: "kss", kind: hash, apply: (*Log).hsetnx},
	"HDEL":         {shape: "k(s)", kind: hash, apply: (*Log).drop},
	"HINCRBY":      {shape: "ksi", kind: hash, apply: (*Log).incr},
	"HINCRBYFLOAT": {shape: "ksf", kind: hash, apply: (*Log).incrFloat},

	"LPUSH":   {shape: "k(s)", kind: list, apply: (*Log).push},
	"RPUSH":   {shape: "k(s)", kind: list, apply: (*Log).push},
	"LPUSHX":  {shape: "k(s)", kind: list, apply: (*Log).grow},
	"RPUSHX":  {shape: "k(s)", kind: list, apply: (*Log).grow},
	"LINSERT": {shape: "ksss", rest: insertOptions, kind: list, apply: (*Log).grow},
	"LPOP":    {shape: "k[n]", kind: list, apply: (*Log).cut},
	"RPOP":    {shape: "k[n]", kind: list, apply: (*Log).cut},
	"LREM":    {shape: "kis", kind: list, apply: (*Log).cut},
	"LTRIM":   {shape: "kii", kind: list, apply: (*Log).cut},
	"LSET":    {shape: "kis", kind: list, apply: (*Log).lset},

	"SADD":  {shape: "k(s)", kind: set, apply: (*Log).sadd},
	"SREM":  {shape: "k(s)", kind: set, apply: (*Log).drop},
	"SMOVE": {shape: "kks", kind: set, apply: (*Log).smove},

	"ZADD":             {shape: "k", rest: zaddOptions, kind: zset, apply: (*Log).zadd},
	"ZINCRBY":          {shape: "kfs", kind: zset, apply: (*Log).zincrby},
	"ZREM":             {shape: "k(s)", kind: zset, apply: (*Log).drop},
	"ZREMRANGEBYRANK":  {shape: "kii", kind: zset, apply: (*Log).cut},
	"ZREMRANGEBYSCORE": {shape: "kcc", kind: zset, apply: (*Log).cut},
	"ZREMRANGEBYLEX":   {shape: "kxx", kind: zset, apply: (*Log).cut},

	"XADD":  {shape: "k", rest: xaddOptions, kind: stream, apply: (*Log).xadd},
	"XDEL":  {shape: "k(e)", kind: stream, apply: (*Log).grow},
	"XTRIM": {shape: "ks", rest: xtrimOptions, kind: stream, apply: (*Log).grow},
}
