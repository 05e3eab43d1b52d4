-- adopt: give an engine once more what it claimed in a call whose answer was lost.
-- keys:    engines jobs history active quarantine faults deadlines meta
-- args:    engine ('number:uuid'), token of that call, how many to pass over, bytes of records to read
-- returns: {'ok', now_ms, fence of the first, 'more' | 'done', then id, record, history of each} | {'gone', now_ms}
-- moves:   active -> quarantine where there is no sound record; nothing else
-- repeat:  safe: it asks, and draws newer fences
-- bound:   100 jobs, the bytes
-- with:    clock record fetch isolate
local engines, jobs, history, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local quarantine, faults, deadlines, meta = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local engine, token, skip, bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

if not call('ZSCORE', engines, engine) then return { 'gone', num(now) } end
call('HLEN', history); call('ZCARD', quarantine); call('HLEN', faults); counters(meta, 'fence'); call('ZCARD', deadlines)
call('ZREM', active, '')
local ids = call('ZRANGEBYSCORE', active, token, token, 'LIMIT', num(skip), '100')
local records = fetch(jobs, ids, bytes)
local fence = math.max(tonumber(call('HGET', meta, 'fence') or '0') + 1, micros)
call('HSET', meta, 'fence', num(fence + #records))
local reply = { 'ok', num(now), num(fence), #ids > 0 and 'more' or 'done' }
for i, record in ipairs(records) do
  if sound(record) then
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = ids[i], record, call('HGET', history, ids[i]) or ''
  else
    call('ZREM', active, ids[i])
    isolate(ids[i], record and 'the header of the record cannot be read' or 'the record is missing')
  end
end
return reply
