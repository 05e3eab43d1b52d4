package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spooljobs/spool"
)

// writings are writes, and what is stored before that they are made for.
var writings = []struct{ write, made string }{
	{"SET @k v", "SET @k w EX 5000"}, {"SET @k v KEEPTTL", "SET @k w EX 5000"}, {"SET @k v EX 100000", "SET @k w"},
	{"SET @k v PX 100000000", "SET @k w"}, {"SET @k v EXAT 4000000000", "SET @k w"}, {"SET @k v PXAT 4000000000000", "SET @k w"},
	{"MSET @k v @K w @k x", "SET @k w EX 5000"}, {"APPEND @k v", "SET @k w EX 5000"},
	{"SETRANGE @k 3 v", "SET @k w EX 5000"}, {"SETRANGE @k 3 nothing", "SET @k abcdef"}, {"SETBIT @k 6 1", "SET @k a EX 5000"},
	{"INCR @k", "SET @k 5 EX 5000"}, {"INCRBY @k -7", "SET @k 5"}, {"DECR @k", "SET @k 5"}, {"DECRBY @k 9223372036854775807", "SET @k 5"},
	{"INCRBYFLOAT @k 0.25", "SET @k 5 EX 5000"}, {"INCRBYFLOAT @k -1.5", "SET @k 1.5"}, {"INCRBYFLOAT @k 0.5", "SET @k 5e2"},
	{"INCR @k", "SET @k x"}, {"INCR @k", "SET @k 9223372036854775807"}, {"INCR @k", "SET @k 9223372036854775806"},
	{"INCR @k", "SET @k 1.5"},
	{"INCR @k", "SET @k 007"}, {"INCR @k", "SET @k +1"}, {"INCR @k", "SET @k -0"}, {"INCR @k", "SET @k 9223372036854775808"},
	{"INCR @k", "SET @k -9223372036854775809"}, {"INCR @k", "SET @k 12345678901234567890123"}, {"DECR @k", "SET @k -9223372036854775808"},
	{"DECR @k", "SET @k -9223372036854775807"}, {"DECR @k", "SET @k x"}, {"INCRBY @k 8", "SET @k 9223372036854775800"},
	{"INCRBY @k 7", "SET @k 9223372036854775800"}, {"INCRBY @k 9223372036854775807", "SET @k -9223372036854775808"},
	{"INCRBY @k -9223372036854775808", "SET @k -1"}, {"INCRBY @k -9223372036854775808", "SET @k 0"},
	{"INCRBY @k 999999999999999", "SET @k 9222372036854775808"}, {"INCRBY @k 1000000000000000", "SET @k 9222372036854775808"},
	{"DECRBY @k 9", "SET @k -9223372036854775800"}, {"DECRBY @k 8", "SET @k -9223372036854775800"},
	{"INCRBYFLOAT @k 1", "SET @k x"}, {"INCRBYFLOAT @k 1", "SET @k 1.5.5"}, {"INCRBYFLOAT @k 1", "SET @k -"},
	{"INCRBYFLOAT @k 1", "SET @k nan"},

	{"DEL @k @K", "SET @k v; SET @K w"}, {"UNLINK @k @k", "SET @k v"}, {"EXPIRE @k 100000", "SET @k v EX 5000"},
	{"EXPIRE @k 0", "SET @k v"},
	{"EXPIRE @k -5", "SET @k v"}, {"PEXPIRE @k 100000000", "SET @k v"}, {"EXPIREAT @k 4000000000", "SET @k v"},
	{"EXPIREAT @k 1000", "SET @k v"},
	{"PEXPIREAT @k 4000000000000", "SET @k v"}, {"PEXPIREAT @k 1", "SET @k v"}, {"PERSIST @k", "SET @k v EX 5000"},

	{"HSET @k f v h x", "HSET @k f w g y"}, {"HSETNX @k f v", "HSET @k f w"}, {"HSETNX @k g v", "HSET @k f w"},
	{"HDEL @k f z", "HSET @k f w g y"},
	{"HDEL @k f", "HSET @k f w"}, {"HINCRBY @k f 3", "HSET @k f 5"}, {"HINCRBY @k g -3", "HSET @k f 5"},
	{"HINCRBYFLOAT @k f 0.25", "HSET @k f 5"},
	{"HINCRBYFLOAT @k g -0.5", "HSET @k f 5"},
	{"HINCRBY @k f 1", "HSET @k f x"}, {"HINCRBY @k f 1", "HSET @k f 9223372036854775807"},
	{"HINCRBY @k f -1", "HSET @k f -9223372036854775808"},
	{"HINCRBY @k f 1", "HSET @k f 1.5"}, {"HINCRBYFLOAT @k f 1", "HSET @k f x"},

	{"LPUSH @k a b", "RPUSH @k x y"}, {"RPUSH @k a b", "RPUSH @k x y"}, {"LPUSHX @k a b", "RPUSH @k x y"}, {"RPUSHX @k a", "RPUSH @k x y"},
	{"LPOP @k", "RPUSH @k x y"}, {"LPOP @k 5", "RPUSH @k x y"}, {"RPOP @k", "RPUSH @k x y"}, {"RPOP @k 1", "RPUSH @k x"},
	{"RPOP @k 0", "RPUSH @k x"},
	{"LSET @k 1 v", "RPUSH @k x y"}, {"LSET @k -2 v", "RPUSH @k x y"}, {"LREM @k 1 x", "RPUSH @k x y x"},
	{"LREM @k -1 x", "RPUSH @k x y x"},
	{"LREM @k 0 x", "RPUSH @k x x"}, {"LTRIM @k 1 1", "RPUSH @k x y z"}, {"LTRIM @k 5 9", "RPUSH @k x y z"},
	{"LINSERT @k BEFORE y v", "RPUSH @k x y"}, {"LINSERT @k after z v", "RPUSH @k x y"},
	{"LSET @k 2 v", "RPUSH @k x y"}, {"LSET @k -3 v", "RPUSH @k x y"},

	{"SADD @k a b", "SADD @k a c"}, {"SREM @k a z", "SADD @k a c"}, {"SREM @k a", "SADD @k a"},
	{"SMOVE @k @K a", "SADD @k a b; SADD @K c"},
	{"SMOVE @k @K z", "SADD @k a b; SADD @K c"}, {"SMOVE @k @K a", "SADD @k a"}, {"SMOVE @k @k a", "SADD @k a"},
	{"SMOVE @k @K a", "SADD @k a; SET @K v"},

	{"ZADD @k 1 a 2 c", "ZADD @k 5 a 6 b"}, {"ZADD @k NX 1 a 2 c", "ZADD @k 5 a 6 b"}, {"ZADD @k XX CH 1 a 2 c", "ZADD @k 5 a 6 b"},
	{"ZADD @k GT 9 a 1 b", "ZADD @k 5 a 6 b"}, {"ZADD @k LT 9 a 1 b", "ZADD @k 5 a 6 b"}, {"ZADD @k -inf a +inf b", "ZADD @k 5 a 6 b"},
	{"ZINCRBY @k 1.5 a", "ZADD @k 5 a"}, {"ZINCRBY @k -1 c", "ZADD @k inf c"}, {"ZREM @k a z", "ZADD @k 5 a 6 b"},
	{"ZREM @k a", "ZADD @k 5 a"},
	{"ZREMRANGEBYRANK @k 0 0", "ZADD @k 5 a 6 b"}, {"ZREMRANGEBYSCORE @k (5 +inf", "ZADD @k 5 a 6 b"},
	{"ZREMRANGEBYLEX @k [a (b", "ZADD @k 0 a 0 b"},

	{"XADD @k * f v g w", "XADD @k 1-1 f v"}, {"XADD @k NOMKSTREAM * f v", "XADD @k 1-1 f v"},
	{"XADD @k MAXLEN = 1 * f v", "XADD @k 1-1 f v"},
	{"XDEL @k 1-1 7-7", "XADD @k 1-1 f v; XADD @k 2-1 f v"}, {"XTRIM @k MAXLEN 1", "XADD @k 1-1 f v; XADD @k 2-1 f v"},
	{"XTRIM @k MAXLEN = 0", "XADD @k 1-1 f v"},
}

// harmless are the writes that ask nothing of what is stored.
const harmless = " SET MSET DEL UNLINK EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST "

// writeCase is one write on what is stored.
type writeCase struct {
	write    command
	made     []command
	keys     string
	informed bool // the transaction reads first, and so knows what is stored

	err error // of the transaction
}

func (c *writeCase) String() string {
	return fmt.Sprintf("%v on %v, informed %t, at %s", c.write, c.made, c.informed, c.keys)
}

// writeCases are all rows, each on what it is made for and on nothing; and the first of each command on every type. The
// embedded server, which is slow, gets half of them.
func writeCases(s *server, suffix string, half int) []*writeCase {
	var cases []*writeCase
	n := half
	add := func(write, made string, informed bool) {
		if n++; s.name == "embedded" && n%2 == 0 {
			return
		}
		keys := fmt.Sprintf(".%s%d", suffix, len(cases))
		cases = append(cases, &writeCase{write: commands(write, keys)[0], made: commands(made, keys), keys: keys, informed: informed})
	}
	before := ""
	for i, w := range writings {
		add(w.write, w.made, false)
		add(w.write, w.made, true)
		add(w.write, "", i%2 == 0)
		name, _, _ := strings.Cut(w.write, " ")
		for k, typ := range types {
			if name != before {
				add(w.write, fresh[typ][0], k%2 == i%2)
			}
		}
		before = name
	}
	return cases
}

// run is the function of the transaction: others are written before and after.
func (c *writeCase) run(ctx context.Context, sp *space, tx *spool.Tx) error {
	if err := tx.Do(ctx, "SET", sp.key("before"+c.keys), "yes").Err(); err != nil {
		return err
	}
	if c.informed {
		for i := range c.write.Keys {
			tx.Do(ctx, "TYPE", sp.key(c.write.Args[c.write.Keys[i]]))
		}
		read := map[byte]string{'L': "LRANGE @k 0 -1", 'H': "HGETALL @k", 'S': "SMEMBERS @k", 'Z': "ZSCORE @k a"}[c.write.name()[0]]
		if read == "" || strings.HasPrefix(c.write.name(), "SET") {
			read = "GET @k"
		}
		tx.Do(ctx, sp.args(commands(read, c.keys)[0])...)
	}
	if err := tx.Do(ctx, sp.args(c.write)...).Err(); err != nil {
		return err
	}
	return tx.Do(ctx, "SET", sp.key("after"+c.keys), "yes").Err()
}

// check does the same directly, and compares. It returns whether it was refused.
func (c *writeCase) check(t *testing.T, sp, model *space) (refused bool) {
	t.Helper()
	defer c.remove(sp, model)
	answer, failed := model.do(t, c.write)
	if !failed {
		model.must(t, commands("SET @before yes; SET @after yes", c.keys)...)
	}
	keys := []string{"before" + c.keys, "k" + c.keys, "K" + c.keys, "after" + c.keys}
	if diff := sp.state(t, keys).differs(model.state(t, keys)); diff != "" {
		t.Errorf("%v: left:\n%s", c, diff)
	}
	if failed != (c.err != nil) {
		t.Errorf("%v: ends with %v; directly it answers %s", c, c.err, answer)
	}
	if failed && strings.Contains(harmless, " "+c.write.name()+" ") {
		t.Errorf("%v: %s, and it should be harmless", c, answer)
	}
	if failed && c.err != nil && !c.informed && !strings.Contains(strings.ToLower(c.err.Error()), "/k"+c.keys) {
		t.Errorf("%v: the error does not name the key: %v", c, c.err)
	}
	if errors.Is(c.err, spool.ErrBrokenCommit) || errors.Is(c.err, spool.ErrConflict) || errors.Is(c.err, spool.ErrReadAfterWrite) {
		t.Errorf("%v: %v", c, c.err)
	}
	return failed
}

// remove removes the keys: the embedded server gets slow with many.
func (c *writeCase) remove(spaces ...*space) {
	for _, sp := range spaces {
		sp.rdb.Del(context.Background(), sp.key("before"+c.keys), sp.key("k"+c.keys), sp.key("K"+c.keys), sp.key("after"+c.keys))
	}
}

// A write does what it does directly, or it is refused before anything of its transaction is written.
func TestWriteIsAsDirectOrRefusedAsAWhole(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		client := s.client(t)
		sp, model := s.space(t, "mine"), s.space(t, "model")
		ctx := patiently(t)
		rows, refused := map[string]int{}, map[string]int{}
		for _, c := range writeCases(s, "b", 0) {
			rows[c.write.name()]++
			sp.must(t, c.made...)
			model.must(t, c.made...)
			c.err = client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { return c.run(ctx, sp, tx) })
			if c.check(t, sp, model) {
				refused[c.write.name()]++
			}
			if bad := (*spool.FieldError)(nil); c.err != nil && !c.informed && !errors.As(c.err, &bad) {
				t.Errorf("%v: %T", c, c.err)
			}
		}
		for _, name := range writeCommands {
			if rows[name] == 0 {
				t.Errorf("%s has no row", name)
			}
			if refused[name] == 0 && !strings.Contains(harmless, " "+name+" ") {
				t.Errorf("%s was never refused", name)
			}
		}
	})
}

// The same, for jobs: those that are refused do no harm to those that share a call with them.
func TestWriteOfJobIsAsDirectOrRefusedAsAWhole(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		client := s.client(t, func(cfg *spool.ClientConfig) { cfg.Logger = quiet })
		sp, model := s.space(t, "mine"), s.space(t, "model")
		ctx := patiently(t)
		cases := writeCases(s, "j", 1)
		w := spool.NewWorker(client, spool.WorkerConfig{ThreadSlots: 16})
		tabled.HandleTx(w, func(ctx context.Context, tx *spool.Tx, i int) (bool, error) {
			return true, cases[i].run(ctx, sp, tx)
		})
		for from := 0; from < len(cases); from += 40 {
			var partials []spool.Partial[bool]
			to := min(from+40, len(cases))
			for i := from; i < to; i++ {
				sp.must(t, cases[i].made...)
				model.must(t, cases[i].made...)
				partials = append(partials, tabled.With(i))
			}
			results := must(spool.PutMany(ctx, client, partials))(t)
			must(w.Drain(ctx))(t)
			for i, c := range cases[from:to] {
				_, c.err = results[i].Job.Wait(ctx)
				c.check(t, sp, model)
			}
		}
	})
}
