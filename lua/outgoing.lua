-- outgoing: what waits in the outbox for its way to another queue, the oldest first.
-- keys:    outbox outgoing
-- args:    places of the first and the last, from 0, bytes to read
-- returns: {'ok', now_ms, then for each: its id, and where to, due, deadline, id and record with blanks between}
-- moves:   none
-- repeat:  safe: it asks
-- bound:   100, the bytes
-- with:    clock fetch
local outbox, outgoing = KEYS[1], KEYS[2]
local from, to, bytes = ARGV[1], ARGV[2], tonumber(ARGV[3])

local ids = call('ZRANGE', outgoing, from, to)
local reply = { 'ok', num(now) }
for i, parcel in ipairs(fetch(outbox, ids, bytes)) do
  reply[#reply + 1], reply[#reply + 2] = ids[i], parcel or ''
end
return reply
