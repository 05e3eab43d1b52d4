-- transact: a transaction of a client takes effect, once, or not at all.
-- keys:    lines lastcalls jobs outcomes done ready:thread ready:reactor due:thread due:reactor deadlines wake:thread wake:reactor meta outbox outgoing ...
-- args:    line, number of the call, '1' if it only asks: a number that was not applied is closed for good; '1' if the
--          call adds nothing to Redis, which may then be full; then the transaction (see judge.lua)
-- returns: {'ok' | 'again', now_ms, word} | {'stale', now_ms}; word: 'done' | 'void' (asked, and closed) | what
--          judge.lua says against it
-- moves:   new -> ready | due
-- repeat:  safe: the number was applied before, the kept word comes back
-- bound:   one transaction
-- with:    clock record rank sentinel wake line accept answer judge
local lines, lastcalls, jobs, outcomes, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ready, due = { t = KEYS[6], r = KEYS[7] }, { t = KEYS[8], r = KEYS[9] }
local deadlines, wake, meta, outbox, outgoing = KEYS[10], { t = KEYS[11], r = KEYS[12] }, KEYS[13], KEYS[14], KEYS[15]
local line, number, asks_only, lean = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4] == '1'

local reply, last = heard(lines, line, number)
if reply then return reply end
call('ZCARD', lastcalls); call('HLEN', jobs); call('HLEN', outcomes); call('ZCARD', done); call('ZCARD', deadlines)
call('HLEN', outbox); call('ZCARD', outgoing); counters(meta, 'order')
for _, lane in ipairs({ 't', 'r' }) do
  call('ZCARD', ready[lane]); call('ZCARD', due[lane]); call('LLEN', wake[lane])
end
-- What adds is refused by full memory as a whole: an adding write comes first.
if lean or asks_only then call('ZREM', lastcalls, '') else last = note(lines, lastcalls, line, number, last, '') end
local word = 'void'
if not asks_only then
  local _, against = perform(5)
  word = against or 'done'
  file({})
end
note(lines, lastcalls, line, number, last, word)
return { 'ok', num(now), word }
