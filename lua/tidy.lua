-- tidy: let go of outcomes whose time has passed, of lines that were silent for a day, and of what arrived from
-- outboxes a day ago.
-- keys:    outcomes done lines lastcalls inbox
-- args:    none
-- returns: {'ok', now_ms, removed, 'more' | 'done'}
-- moves:   done -> nothing
-- repeat:  safe: what has gone is not found again
-- bound:   500 outcomes, 500 lines, 500 arrivals
-- with:    clock
local outcomes, done, lines, lastcalls, inbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

call('HLEN', outcomes); call('HLEN', lines); call('ZCARD', lastcalls); call('ZCARD', inbox)
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
local arrived = call('ZRANGEBYSCORE', inbox, '-inf', '(' .. num(now - 86400000), 'LIMIT', '0', '500')
if #arrived > 0 then call('ZREM', inbox, unpack(arrived)) end
return { 'ok', num(now), num(#old + #silent + #arrived), (#old == 500 or #silent == 500 or #arrived == 500) and 'more' or 'done' }
