-- sweep: take a slice of what a dead engine held and give it to others.
-- keys:    dying workers calls jobs history checkpoints active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched quarantine faults wake:thread wake:reactor meta edges waiting adopting callbacks outbox outgoing
-- args:    the dead engine ('number:uuid'), its token range from, to, largest slice, bytes of records to read,
--          ms an aborted outcome is kept
-- returns: {'ok', now_ms, moved, 'more' | 'done', errands (see follow.lua)} | {'gone', now_ms} if it is not dying
-- moves:   leaving -> nothing; active -> ready (first interruption) | suspect (later ones) | done (more than its policy allows) | quarantine
--          (no sound record); the slice that finds nothing left drops the engine
-- repeat:  safe: what was moved is no longer in the dead engine's range
-- bound:   the slice, at most 100 jobs
-- with:    clock record moment rank sentinel wake fetch isolate withdraw overdue ending kin settle probe
local dying, workers, calls = KEYS[1], KEYS[2], KEYS[3]
local jobs, history, checkpoints, active, leaving = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local ready, due = { t = KEYS[9], r = KEYS[10] }, { t = KEYS[11], r = KEYS[12] }
local suspect, parked, kinds = { t = KEYS[13], r = KEYS[14] }, KEYS[15], KEYS[16]
local deadlines, outcomes, done, watched = KEYS[17], KEYS[18], KEYS[19], KEYS[20]
local quarantine, faults, wake, meta = KEYS[21], KEYS[22], { t = KEYS[23], r = KEYS[24] }, KEYS[25]
local edges, waiting, adopting, callbacks, outbox, outgoing = KEYS[26], KEYS[27], KEYS[28], KEYS[29], KEYS[30], KEYS[31]
local engine, from, to = ARGV[1], ARGV[2], ARGV[3]
local slice, bytes, keep = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

if not call('ZSCORE', dying, engine) then return { 'gone', num(now) } end
call('HLEN', workers); call('HLEN', calls)
local ids = call('ZRANGEBYSCORE', active, from, '(' .. to, 'LIMIT', '0', num(slice))
-- Handlers of cancelled jobs died with it.
local left = #ids == 0 and call('ZRANGEBYSCORE', leaving, from, '(' .. to, 'LIMIT', '0', num(slice)) or {}
if #left > 0 then
  call('ZREM', leaving, unpack(left))
  return { 'ok', num(now), '0', 'more', '' }
end
if #ids == 0 then
  call('ZREM', dying, engine)
  local known, uuid = string.match(engine, '^(%d+):(.*)$')
  call('HDEL', workers, known or engine)
  -- The uuid may have been given another number meanwhile.
  if uuid and call('HGET', workers, uuid) == known then call('HDEL', workers, uuid) end
  call('HDEL', calls, engine)
  return { 'ok', num(now), '0', 'done', '' }
end
probe()
local records = fetch(jobs, ids, bytes)
local pasts = call('HMGET', history, unpack(ids, 1, #records))
-- A removing write comes first: sweeping must work when memory is full.
call('ZREM', active, unpack(ids, 1, #records))
local place = front(meta, #records)
local aborted, endings, keeps, interrupted = {}, {}, {}, 0
for i, record in ipairs(records) do
  local id, past = ids[i], pasts[i] or '0000000000'
  if not sound(record) then
    isolate(id, record and 'the header of the record cannot be read' or 'the record is missing')
  elseif not dated(past) then
    isolate(id, 'the history cannot be read')
  else
    local times = tonumber(string.sub(past, 7, 10)) + 1
    past = string.sub(past, 1, 6) .. string.format('%04.0f', math.min(times, 9999)) .. string.sub(past, 11)
    local cap, lane = string.sub(record, 3, 3), string.sub(record, 2, 2)
    interrupted = interrupted + 1
    if cap ~= 'f' and times > tonumber(cap) then
      aborted[#aborted + 1], endings[#endings + 1], keeps[#keeps + 1] = id, ending('a', record, past), keep
    else
      call('HSET', history, id, past)
      overdue(id, record)
      local set = ready[lane]
      if times > 1 then set = suspect[lane] else grow(set, call('ZCARD', set)) end
      call('ZADD', set, rank(record, place + i), id)
      mark(wake[lane])
    end
  end
end
settle(aborted, endings, keeps)
if interrupted > 0 then call('HINCRBY', meta, 'interrupted', num(interrupted)) end
if #aborted > 0 then call('HINCRBY', meta, 'aborted', num(#aborted)) end
shine()
return { 'ok', num(now), num(#records), 'more', errands() }
