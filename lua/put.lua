-- put: accept new jobs that are ready: nothing else is stored under their ids.
-- keys:    lines lastcalls jobs ready:thread ready:reactor wake:thread wake:reactor meta
-- args:    line, number of the call, '1' if the line's time is to be noted (its first call, and each ten minutes),
--          number of jobs, then for each job: id, record
-- returns: {'ok' | 'again', '0', ''} | {'stale', '0'}; it does not look at the clock
-- moves:   new -> ready. An id that has a record is left alone
-- repeat:  safe: the number was applied before
-- bound:   500 jobs
-- with:    rank sentinel
local lines, lastcalls, jobs = KEYS[1], KEYS[2], KEYS[3]
local ready, wake, meta = { t = KEYS[4], r = KEYS[5] }, { t = KEYS[6], r = KEYS[7] }, KEYS[8]
local line, number, timed, count = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])

-- This is the script that a single put waits for: it asks for nothing it can do without. The kind of a key is not
-- looked up where the first write to it fails with nothing done.
local kept = call('HGET', lines, line)
local last, ms = string.match(kept or '0 0 ', '^(%d+) (%d+) ')
if tonumber(last) == number then return { 'again', '0', string.match(kept, '^%d+ %d+ (.*)$') } end
if tonumber(last) > number then return { 'stale', '0' } end
local members = {}
for i = 1, count do
  local lane = string.sub(ARGV[2 * i + 4], 2, 2)
  if not members[lane] then members[lane] = { marked = call('LLEN', wake[lane]) > 0, fresh = call('ZCARD', ready[lane]) == 0 } end
end
if timed or not kept then
  call('ZCARD', lastcalls)
  ms = num(tonumber(call('TIME')[1]) * 1000)
end
-- An adding write comes first, so that full memory refuses the call as a whole.
local place = order(meta, count)
for i = 1, count do
  local id, record = ARGV[2 * i + 3], ARGV[2 * i + 4]
  local z = members[string.sub(record, 2, 2)]
  -- A call that was delayed for long may come after its caller gave up and put the same job another way.
  if call('HSETNX', jobs, id, record) == 1 then z[#z + 1], z[#z + 2] = rank(record, place + i), id end
end
for lane, z in pairs(members) do
  if z.fresh and #z > 0 then grow(ready[lane], 0) end
  for from = 1, #z, 500 do call('ZADD', ready[lane], unpack(z, from, math.min(from + 499, #z))) end
  if not z.marked and #z > 0 then call('LPUSH', wake[lane], '1') end
end
if timed or not kept then call('ZADD', lastcalls, ms, line) end
call('HSET', lines, line, num(number) .. ' ' .. ms .. ' ')
return { 'ok', '0', '' }
