-- transact: a transaction of a client takes effect, once, or not at all.
-- keys:    lines lastcalls jobs history checkpoints active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched quarantine faults wake:thread wake:reactor meta edges waiting adopting callbacks outbox outgoing ...
-- args:    line, number of the call, '1' if it only asks: a number that was not applied is closed for good; '1' if the
--          call adds nothing to Redis, which may then be full; then the transaction (see judge.lua)
-- returns: {'ok' | 'again', now_ms, word, errands (see follow.lua)} | {'stale', now_ms}; word: 'done' | 'void' (asked, and closed) | what
--          judge.lua says against it
-- moves:   new -> ready | due | waiting
-- repeat:  safe: the number was applied before, the kept word comes back
-- bound:   one transaction
-- with:    clock record moment rank sentinel wake line isolate withdraw ending kin settle same accept answer judge probe
local lines, lastcalls = KEYS[1], KEYS[2]
local jobs, history, checkpoints, active, leaving = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local ready, due = { t = KEYS[8], r = KEYS[9] }, { t = KEYS[10], r = KEYS[11] }
local suspect, parked, kinds = { t = KEYS[12], r = KEYS[13] }, KEYS[14], KEYS[15]
local deadlines, outcomes, done, watched = KEYS[16], KEYS[17], KEYS[18], KEYS[19]
local quarantine, faults, wake, meta = KEYS[20], KEYS[21], { t = KEYS[22], r = KEYS[23] }, KEYS[24]
local edges, waiting, adopting, callbacks, outbox, outgoing = KEYS[25], KEYS[26], KEYS[27], KEYS[28], KEYS[29], KEYS[30]
local line, number, asks_only, lean = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4] == '1'

local reply, last = heard(lines, line, number)
if reply then return reply end
call('ZCARD', lastcalls); probe()
-- What adds is refused by full memory as a whole: an adding write comes first.
if lean or asks_only then call('ZREM', lastcalls, '') else last = note(lines, lastcalls, line, number, last, '') end
local word = 'void'
if not asks_only then
  local _, against = perform(5)
  word = against or 'done'
  file({})
  settle({}, {}, {})
end
note(lines, lastcalls, line, number, last, word)
shine()
return { 'ok', num(now), word, errands() }
