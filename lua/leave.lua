-- leave: an engine goes, in order. What it still holds is swept like that of a dead one.
-- keys:    engines dying workers calls active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor wake:thread wake:reactor
-- args:    engine ('number:uuid'), its token range from, to
-- returns: {'ok', now_ms} | {'gone', now_ms}
-- moves:   engines -> nothing, or -> dying while it holds jobs
-- repeat:  safe: 'gone' the second time
-- bound:   constant
-- with:    clock wake
local engines, dying, workers, calls, active, leaving = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ready, due, suspect = { KEYS[7], KEYS[8] }, { KEYS[9], KEYS[10] }, { KEYS[11], KEYS[12] }
local wake = { KEYS[13], KEYS[14] }
local engine, from, to = ARGV[1], ARGV[2], ARGV[3]

if not call('ZSCORE', engines, engine) then return { 'gone', num(now) } end
call('ZCARD', dying); call('HLEN', workers); call('HLEN', calls)
local held = call('ZCOUNT', active, from, '(' .. to) + call('ZCOUNT', leaving, from, '(' .. to)
local claimable = {}
for lane = 1, 2 do
  local waits = call('ZRANGE', due[lane], '0', '0', 'WITHSCORES')[2]
  claimable[lane] = call('ZCARD', ready[lane]) > 1 or call('ZCARD', suspect[lane]) > 0 or (waits and tonumber(waits) and tonumber(waits) < 9007199254740992)
  call('LLEN', wake[lane])
end
call('ZREM', engines, engine)
if held > 0 then
  call('ZADD', dying, num(now), engine)
else
  call('HDEL', workers, string.match(engine, '^(%d+):(.*)$'))
  call('HDEL', calls, engine)
end
-- A marker that this engine took and did not act upon is set again; and it may be the only one that knew when the next
-- job is due.
for lane = 1, 2 do
  if claimable[lane] then mark(wake[lane]) end
end
return { 'ok', num(now) }
