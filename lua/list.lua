-- list: a page of one state's jobs, in the order of its set.
-- keys:    set jobs history outcomes faults
-- args:    first place, last place (from 0; negative counts from the end), bytes of records to read
-- returns: {'ok', now_ms, jobs in the set, then id, score, record or outcome, history or fault of each}
-- moves:   nothing
-- repeat:  safe: a question
-- bound:   500 jobs, the bytes
-- with:    clock fetch
local set, jobs, history, outcomes, faults = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local first, last, bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- The sentinel stands last and is no job.
local size = call('ZCARD', set)
if size > 0 and #call('ZRANGEBYSCORE', set, '+inf', '+inf', 'LIMIT', '0', '1') > 0 then size = size - 1 end
if first < 0 then first = size + first end
if last < 0 then last = size + last end
last = math.min(last, size - 1, first + 499)
local reply = { 'ok', num(now), num(size) }
if first < 0 or last < first then return reply end
local page, ids = call('ZRANGE', set, num(first), num(last), 'WITHSCORES'), {}
for i = 1, #page, 2 do ids[#ids + 1] = page[i] end
local records = fetch(jobs, ids, bytes)
for i = 1, #records do
  local id, at = ids[i], #reply
  reply[at + 1], reply[at + 2] = id, num(tonumber(page[2 * i]))
  reply[at + 3] = records[i] or call('HGET', outcomes, id) or ''
  reply[at + 4] = call('HGET', faults, id) or call('HGET', history, id) or ''
end
return reply
