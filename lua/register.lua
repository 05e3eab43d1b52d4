-- register: an engine asks for its number in this queue.
-- keys:    engines workers calls active ready:thread ready:reactor due:thread due:reactor meta
-- args:    uuid, ms of silence after which it counts as dead, what it says of itself (msgpack)
-- returns: {'ok', now_ms, number}
-- moves:   nothing
-- repeat:  safe: the same uuid is given the same number while it is registered
-- bound:   constant
-- with:    clock record sentinel
local engines, workers, calls, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local sets, meta = { KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8] }, KEYS[9]
local uuid, patience, about = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local known = call('HGET', workers, uuid)
if known and call('ZSCORE', engines, known .. ':' .. uuid) then return { 'ok', num(now), known } end
call('HLEN', calls); counters(meta, 'engines')
local sizes = {}
for i, set in ipairs(sets) do sizes[i] = call('ZCARD', set) end
-- A removing write comes first: registering must work when memory is full.
call('ZREM', engines, '')
for i, set in ipairs(sets) do grow(set, sizes[i]) end
local number = num(call('HINCRBY', meta, 'engines', '1'))
call('ZADD', engines, num(now + patience), number .. ':' .. uuid)
call('HSET', workers, uuid, number, number, about)
call('HSET', calls, number .. ':' .. uuid, '0 ')
return { 'ok', num(now), number }
