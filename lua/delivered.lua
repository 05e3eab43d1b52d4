-- delivered: what has arrived leaves the outbox.
-- keys:    outbox outgoing
-- args:    the ids in the outbox
-- returns: {'ok', now_ms, how many are left}
-- moves:   none
-- repeat:  safe: what has left is not there
-- bound:   100
-- with:    clock
local outbox, outgoing = KEYS[1], KEYS[2]
local ids = ARGV

call('HLEN', outbox); call('ZCARD', outgoing)
call('ZREM', outgoing, unpack(ids))
call('HDEL', outbox, unpack(ids))
return { 'ok', num(now), num(call('ZCARD', outgoing)) }
