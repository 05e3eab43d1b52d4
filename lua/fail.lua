-- fail: end a job that has not begun, from outside, with a failure.
-- keys:    lines lastcalls jobs history checkpoints ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched meta
-- args:    line, number of the call, id, the failure (msgpack), ms to keep it
-- returns: {'ok' | 'again', now_ms, word} | {'stale', now_ms}; word: 'done' | 'begun' | 'ended' | 'unknown'
-- moves:   ready | due | suspect | parked -> done
-- repeat:  safe: the number was applied before, the kept word comes back
-- bound:   constant
-- with:    clock record line withdraw settle
local lines, lastcalls, jobs, history, checkpoints = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ready, due, suspect = { t = KEYS[6], r = KEYS[7] }, { t = KEYS[8], r = KEYS[9] }, { t = KEYS[10], r = KEYS[11] }
local parked, kinds, deadlines, outcomes, done, watched, meta = KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local line, number, id, body, keep = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])

local reply, last = heard(lines, line, number)
if reply then return reply end
call('HLEN', history); call('ZCARD', kinds); call('ZCARD', deadlines); call('HLEN', watched); call('ZCARD', lastcalls)
call('HLEN', outcomes); call('HLEN', checkpoints); counters(meta, 'failed')
local record = call('HGET', jobs, id)
local word = call('ZSCORE', done, id) and 'ended' or 'unknown'
-- A removing write comes first: ending a job must work when memory is full.
call('ZREM', parked, '')
if record then
  word = 'begun'
  if withdraw(id, record) then
    word = 'done'
    settle({ id }, { ending('f', record, call('HGET', history, id)) .. body }, { keep })
    call('HINCRBY', meta, 'failed', '1')
  end
end
note(lines, lastcalls, line, number, last, word)
return { 'ok', num(now), word }
