-- edit: change a job that has not begun: its record, and if asked its time.
-- keys:    lines lastcalls jobs ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds wake:thread wake:reactor meta waiting
-- args:    line, number of the call, id, the record as the caller saw it, the record that is to be, due ('' as it is | '+ms' | '@ms')
-- returns: {'ok' | 'again', now_ms, word} | {'stale', now_ms}; word: 'done' | 'changed' | 'begun' | 'unknown' |
--          'joined': it waits for other jobs, and has no time of its own yet
-- moves:   ready | due | suspect | parked -> ready | due
-- repeat:  safe: the number was applied before, the kept word comes back
-- bound:   constant
-- with:    clock record rank sentinel wake line withdraw
local lines, lastcalls, jobs = KEYS[1], KEYS[2], KEYS[3]
local ready, due, suspect = { t = KEYS[4], r = KEYS[5] }, { t = KEYS[6], r = KEYS[7] }, { t = KEYS[8], r = KEYS[9] }
local parked, kinds, wake, meta, waiting = KEYS[10], KEYS[11], { t = KEYS[12], r = KEYS[13] }, KEYS[14], KEYS[15]
local line, number, id, old, new, when = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local reply, last = heard(lines, line, number)
if reply then return reply end
call('ZCARD', lastcalls); call('ZCARD', parked); call('ZCARD', kinds); call('ZCARD', waiting); counters(meta, 'order')
for _, any in ipairs({ 't', 'r' }) do
  call('ZCARD', ready[any]); call('ZCARD', due[any]); call('ZCARD', suspect[any])
end
local lane = string.sub(new, 2, 2)
call('LLEN', wake[lane])
local stored = call('HGET', jobs, id)
local word = 'done'
-- An adding write comes first, so that full memory refuses the call as a whole.
last = note(lines, lastcalls, line, number, last, word)
if not stored then
  word = 'unknown'
elseif stored ~= old then
  word = 'changed'
elseif call('ZSCORE', waiting, id) then
  if when == '' then call('HSET', jobs, id, new) else word = 'joined' end
else
  local set, score = withdraw(id, old)
  if not set then
    word = 'begun'
  else
    call('HSET', jobs, id, new)
    local waited = set == due.t or set == due.r
    local start = waited and tonumber(score) or now
    if when ~= '' then
      local ms = tonumber(string.sub(when, 2))
      start = string.sub(when, 1, 1) == '+' and now + ms or ms
    end
    if start > now then
      grow(due[lane], call('ZCARD', due[lane]))
      call('ZADD', due[lane], num(start), id)
    else
      local place = (waited or when ~= '') and order(meta, 1) + 1 or tonumber(score) % 4398046511104
      grow(ready[lane], call('ZCARD', ready[lane]))
      call('ZADD', ready[lane], rank(new, place), id)
    end
    mark(wake[lane])
  end
end
if word ~= 'done' then note(lines, lastcalls, line, number, last, word) end
return { 'ok', num(now), word }
