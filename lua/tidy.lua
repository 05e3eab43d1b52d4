-- tidy: let go of outcomes whose time has passed and of lines that were silent for a day.
-- keys:    outcomes done lines lastcalls
-- args:    none
-- returns: {'ok', now_ms, removed, 'more' | 'done'}
-- moves:   done -> nothing
-- repeat:  safe: what has gone is not found again
-- bound:   500 outcomes, 500 lines
-- with:    clock
local outcomes, done, lines, lastcalls = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

call('HLEN', outcomes); call('HLEN', lines); call('ZCARD', lastcalls)
local old = call('ZRANGEBYSCORE', done, '-inf', '(' .. num(now), 'LIMIT', '0', '500')
if #old > 0 then
  call('ZREM', done, unpack(old))
  call('HDEL', outcomes, unpack(old))
end
local silent = call('ZRANGEBYSCORE', lastcalls, '-inf', '(' .. num(now - 86400000), 'LIMIT', '0', '500')
if #silent > 0 then
  call('ZREM', lastcalls, unpack(silent))
  call('HDEL', lines, unpack(silent))
end
return { 'ok', num(now), num(#old + #silent), (#old == 500 or #silent == 500) and 'more' or 'done' }
