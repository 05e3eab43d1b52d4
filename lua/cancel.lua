-- cancel: end a job that has not ended, as cancelled. What runs of it finds that it no longer owns the job.
-- keys:    lines lastcalls jobs history checkpoints active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched meta
-- args:    line, number of the call, id, the rest of its outcome (msgpack), ms to keep it
-- returns: {'ok' | 'again', now_ms, word} | {'stale', now_ms}; word: 'done' | 'ended' | 'unknown'
-- moves:   ready | due | suspect | parked -> done; active -> done, and leaving until its handler has returned
-- repeat:  safe: the number was applied before, the kept word comes back
-- bound:   constant
-- with:    clock record line withdraw settle
local lines, lastcalls, jobs, history, checkpoints, active, leaving = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local ready, due, suspect = { t = KEYS[8], r = KEYS[9] }, { t = KEYS[10], r = KEYS[11] }, { t = KEYS[12], r = KEYS[13] }
local parked, kinds, deadlines, outcomes, done, watched, meta = KEYS[14], KEYS[15], KEYS[16], KEYS[17], KEYS[18], KEYS[19], KEYS[20]
local line, number, id, body, keep = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])

local reply, last = heard(lines, line, number)
if reply then return reply end
call('HLEN', history); call('ZCARD', kinds); call('ZCARD', deadlines); call('HLEN', watched); call('ZCARD', lastcalls)
call('HLEN', outcomes); call('HLEN', checkpoints); call('ZCARD', leaving); counters(meta, 'cancelled')
local record = call('HGET', jobs, id)
local word = call('ZSCORE', done, id) and 'ended' or 'unknown'
local token = call('ZSCORE', active, id)
-- A removing write comes first: cancelling must work when memory is full.
call('ZREM', parked, '')
if sound(record) and (token or withdraw(id, record)) then
  word = 'done'
  if token then
    call('ZREM', active, id)
    call('ZADD', leaving, num(tonumber(token)), id)
  end
  settle({ id }, { ending('c', record, call('HGET', history, id)) .. body }, { keep })
  call('HINCRBY', meta, 'cancelled', '1')
end
note(lines, lastcalls, line, number, last, word)
return { 'ok', num(now), word }
