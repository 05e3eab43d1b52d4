-- fail: end a job that has not begun, or for which another one is to answer, from outside, with a failure.
-- keys:    lines lastcalls jobs history checkpoints active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched quarantine faults wake:thread wake:reactor meta edges waiting adopting callbacks outbox outgoing
-- args:    line, number of the call, id, the failure (msgpack), ms to keep it
-- returns: {'ok' | 'again', now_ms, word, errands (see follow.lua)} | {'stale', now_ms}; word: 'done' | 'begun' | 'ended' | 'unknown'
-- moves:   ready | due | suspect | parked | waiting | adopting -> done | callbacks
-- repeat:  safe: the number was applied before, the kept word comes back
-- bound:   500 edges
-- with:    clock record moment rank sentinel wake line isolate withdraw ending kin settle probe
local lines, lastcalls = KEYS[1], KEYS[2]
local jobs, history, checkpoints, active, leaving = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local ready, due = { t = KEYS[8], r = KEYS[9] }, { t = KEYS[10], r = KEYS[11] }
local suspect, parked, kinds = { t = KEYS[12], r = KEYS[13] }, KEYS[14], KEYS[15]
local deadlines, outcomes, done, watched = KEYS[16], KEYS[17], KEYS[18], KEYS[19]
local quarantine, faults, wake, meta = KEYS[20], KEYS[21], { t = KEYS[22], r = KEYS[23] }, KEYS[24]
local edges, waiting, adopting, callbacks, outbox, outgoing = KEYS[25], KEYS[26], KEYS[27], KEYS[28], KEYS[29], KEYS[30]
local line, number, id, body, keep = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])

local reply, last = heard(lines, line, number)
if reply then return reply end
call('ZCARD', lastcalls); probe()
local record = call('HGET', jobs, id)
local word = call('HEXISTS', outcomes, id) == 1 and 'ended' or 'unknown'
-- A removing write comes first: ending a job must work when memory is full.
call('ZREM', parked, '')
if record then
  word = 'begun'
  local away = call('ZSCORE', adopting, id) and kin().sent(kin().node(id))
  if withdraw(id, record) or not away and call('ZREM', adopting, id) == 1 then
    word = 'done'
    if sound(record) and compound(record) then kin().bury(id, record) end
    settle({ id }, { ending('f', record, call('HGET', history, id)) .. body }, { keep })
    call('HINCRBY', meta, 'failed', '1')
  end
end
note(lines, lastcalls, line, number, last, word)
shine()
return { 'ok', num(now), word, errands() }
