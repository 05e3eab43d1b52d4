-- advance: finish what an engine has done, then claim as many jobs as it has room for.
-- keys:    engines calls jobs history active ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched quarantine faults wake:thread wake:reactor meta
-- args:    engine ('number:uuid'), number of the call, token of what it claims, room in the thread lane, in the reactor
--          lane, '1' if a suspect may be claimed, bytes of records to claim, ms an expired outcome is kept,
--          verdicts refused to its former registration, number of kinds ('lane/task') to claim from the parked, number
--          of verdicts, how many of these are plain, then the kinds, the ids, their tokens, and for each verdict that is not plain its word and fields:
--            keep  outcome, ms to keep it          the job has ended and leaves an outcome
--            retry head, ms to wait, history, outcome if its deadline is before that ('' history: unchanged)
--            back  head or ''                      given back unbegun or in order: uncounted
--            park  head, task                      nobody here knows the task
--            break why                             the record cannot be decoded
--          A plain verdict is a success that leaves nothing. head: the first 14 bytes of the record.
-- returns: {'ok', now_ms, number kept before, lost, fence of the first claim, more:thread, more:reactor, due:thread,
--          due:reactor, then id, record, history of each claim} | {'again', now_ms, lost} | {'stale', now_ms} | {'gone', now_ms};
--          lost: places of the verdicts whose run is no longer the owner; more: '1' if claimable work is left;
--          due: ms of the next due job or ''
-- moves:   active -> done or nothing | due | ready | suspect | parked | quarantine; due -> ready | suspect;
--          pending -> done (deadline); parked, suspect, ready -> active
-- repeat:  safe: the number was applied before, so nothing changes; the engine then adopts what bears its token
-- bound:   500 verdicts, 100 deadlines, 500 promotions a lane, 500 claims; records by bytes
-- with:    clock record rank sentinel wake fetch settle isolate withdraw overdue
local engines, calls, jobs, history, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ready, due, suspect = { t = KEYS[6], r = KEYS[7] }, { t = KEYS[8], r = KEYS[9] }, { t = KEYS[10], r = KEYS[11] }
local parked, kinds, deadlines, outcomes, done = KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[16]
local watched, quarantine, faults = KEYS[17], KEYS[18], KEYS[19]
local wake, meta = { t = KEYS[20], r = KEYS[21] }, KEYS[22]
local engine, number, token = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local room = { t = tonumber(ARGV[4]), r = tonumber(ARGV[5]) }
local suspects, bytes, keep_expired = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local refused, known, verdicts, plain = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local lanes = { 't', 'r' }

-- Is it still registered, and is this call new?
if not call('ZSCORE', engines, engine) then return { 'gone', num(now) } end
local kept, answer = string.match(call('HGET', calls, engine) or '0 ', '^(%d+) (.*)$')
if tonumber(kept) == number then return { 'again', num(now), answer } end
if tonumber(kept) > number then return { 'stale', num(now) } end

-- Every key that may be written is read first: one of a wrong type fails here, before any job has left its set.
local size = { active = call('ZCARD', active), parked = call('ZCARD', parked), deadlines = call('ZCARD', deadlines), ready = {}, due = {}, suspect = {} }
call('HLEN', jobs); call('HLEN', outcomes); call('ZCARD', done); call('HLEN', watched); call('ZCARD', kinds)
call('ZCARD', quarantine); call('HLEN', faults)
counters(meta, 'order', 'front', 'fence', 'succeeded', 'failed', 'cancelled', 'expired', 'retried', 'lost')
local pasts = call('HLEN', history)
for _, lane in ipairs(lanes) do
  size.ready[lane], size.due[lane], size.suspect[lane] = call('ZCARD', ready[lane]), call('ZCARD', due[lane]), call('ZCARD', suspect[lane])
  call('LLEN', wake[lane])
end
-- A removing write comes first: finishing and claiming must work when memory is full.
call('ZREM', active, '')
grow(active, size.active)
for _, lane in ipairs(lanes) do
  grow(ready[lane], size.ready[lane])
  grow(due[lane], size.due[lane])
end

-- Finish: a verdict counts if its run still owns the job.
local lost = {}
local tally = { succeeded = 0, failed = 0, cancelled = 0, expired = 0, retried = 0, lost = 0 }
local tallies = { s = 'succeeded', f = 'failed', c = 'cancelled', e = 'expired' }
local ended, endings, keeps = {}, {}, {}
local function finish(id, outcome, keep, count)
  ended[#ended + 1], endings[#endings + 1], keeps[#keeps + 1] = id, outcome, keep
  tally[count] = tally[count] + 1
end
-- A job that was interrupted more than once waits among the suspects, also when it comes back in order.
local function doubtful(past) return dated(past) and tonumber(string.sub(past, 7, 10)) > 1 end
local function again(id, head, past)
  local lane = string.sub(head, 2, 2)
  if pasts > 0 and doubtful(past or call('HGET', history, id)) then
    call('ZADD', suspect[lane], rank(head, front(meta, 1) + 1), id)
    mark(wake[lane])
  else
    call('ZADD', ready[lane], rank(head, front(meta, 1) + 1), id)
  end
end
local first = 12 + known
if verdicts > 0 then
  local scores = call('ZMSCORE', active, unpack(ARGV, first + 1, first + verdicts))
  local owned, leaving = {}, {}
  for i = 1, verdicts do
    local score, mine = scores[i], ARGV[first + verdicts + i]
    owned[i] = score == mine or (score and tonumber(score) == tonumber(mine))
    if owned[i] then leaving[#leaving + 1] = ARGV[first + i] else lost[#lost + 1] = num(i) end
  end
  if #leaving > 0 then call('ZREM', active, unpack(leaving)) end
  local at = first + 2 * verdicts
  for i = 1, verdicts do
    local id, word, fields = ARGV[first + i], 'plain', 0
    if i > plain then
      word, at = ARGV[at + 1], at + 1
      fields = ({ keep = 2, retry = 4, back = 1, park = 2, ['break'] = 1 })[word]
    end
    if not owned[i] then
      word = 'lost'
    elseif word == 'plain' then
      finish(id, silent, 0, 'succeeded')
    elseif word == 'keep' then
      local outcome = ARGV[at + 1]
      finish(id, outcome, tonumber(ARGV[at + 2]), tallies[string.sub(outcome, 2, 2)])
    elseif word == 'retry' then
      local head, wait, past, late = ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3], ARGV[at + 4]
      local limit = string.sub(head, 6, 6) == 'd' and (tonumber(call('ZSCORE', deadlines, id) or 0))
      if limit and late ~= '' and limit < now + wait then
        finish(id, late, keep_expired, tallies[string.sub(late, 2, 2)])
      else
        if past ~= '' then call('HSET', history, id, past); pasts = pasts + 1 end
        if wait > 0 then
          call('ZADD', due[string.sub(head, 2, 2)], num(now + wait), id)
        else
          again(id, head, past ~= '' and past)
        end
        tally.retried = tally.retried + 1
      end
    elseif word == 'back' then
      local head = ARGV[at + 1]
      if head == '' then head = call('HGET', jobs, id) end
      if sound(head) then
        again(id, head)
        overdue(id, head)
      else
        isolate(id, head and 'the header of the record cannot be read' or 'the record is missing')
      end
    elseif word == 'park' then
      local head, task = ARGV[at + 1], ARGV[at + 2]
      call('ZADD', parked, rank(head, front(meta, 1) + 1), id)
      call('ZADD', kinds, '0', string.sub(head, 2, 2) .. '/' .. task .. '/' .. id)
      overdue(id, head)
    else
      isolate(id, ARGV[at + 1])
    end
    at = at + fields
  end
end

-- Deadlines: decided before anything is claimed. A job that has begun only loses its entry: it may end, not be retried.
if size.deadlines > 0 or verdicts > plain then
  local late = call('ZRANGEBYSCORE', deadlines, '-inf', '(' .. num(now), 'LIMIT', '0', '100')
  for i, record in ipairs(fetch(jobs, late, bytes)) do
    local id = late[i]
    local was = withdraw(id, record)
    if was and sound(record) then
      finish(id, ending('e', record, call('HGET', history, id)), keep_expired, 'expired')
    elseif was then
      isolate(id, record and 'the header of the record cannot be read' or 'the record is missing')
    else
      call('ZREM', deadlines, id)
    end
  end
end

-- Due jobs become ready, in order of their time.
local function promote(lane)
  local head = call('ZRANGE', due[lane], '0', '0', 'WITHSCORES')[2]
  if not tonumber(head) or tonumber(head) > now then return end
  local ids = call('ZRANGEBYSCORE', due[lane], '-inf', num(now), 'LIMIT', '0', '500')
  local records = fetch(jobs, ids, bytes)
  call('ZREM', due[lane], unpack(ids, 1, #records))
  local past = pasts > 0 and call('HMGET', history, unpack(ids, 1, #records)) or {}
  local fresh, back, z = order(meta, #records), front(meta, #records), {}
  for i, record in ipairs(records) do
    if sound(record) and doubtful(past[i]) then
      call('ZADD', suspect[lane], rank(record, back + i), ids[i])
      mark(wake[lane])
    elseif sound(record) then
      z[#z + 1] = rank(record, (past[i] and back or fresh) + i)
      z[#z + 1] = ids[i]
    else
      isolate(ids[i], record and 'the header of the record cannot be read' or 'the record is missing')
    end
    if #z >= 500 then call('ZADD', ready[lane], unpack(z)); z = {} end
  end
  if #z > 0 then call('ZADD', ready[lane], unpack(z)) end
end
promote('t')
promote('r')

-- Claim: first parked jobs of kinds this engine knows, then one suspect, then by rank.
local ids, records, claims = {}, {}, {}
local function take(lane, found)
  if #found == 0 or (bytes <= 0 and #ids > 0) then return 0 end
  local got, spent = fetch(jobs, found, math.max(bytes, 0))
  bytes = bytes - spent
  for i, record in ipairs(got) do
    local id = found[i]
    if not sound(record) then
      isolate(id, record and 'the header of the record cannot be read' or 'the record is missing')
    elseif string.sub(record, 6, 6) == 'd' and tonumber(call('ZSCORE', deadlines, id) or now) < now then
      finish(id, ending('e', record, call('HGET', history, id)), keep_expired, 'expired')
    else
      ids[#ids + 1], records[#records + 1] = id, record
      claims[#claims + 1], claims[#claims + 2] = token, id
      room[lane] = room[lane] - 1
    end
  end
  return #got
end
local function unpark(kind)
  local lane = string.sub(kind, 1, 1)
  if room[lane] <= 0 then return end
  local members = call('ZRANGEBYLEX', kinds, '[' .. kind .. '/', '(' .. kind .. '0', 'LIMIT', '0', num(room[lane]))
  local found = {}
  for i, member in ipairs(members) do found[i] = string.sub(member, #kind + 2) end
  local n = take(lane, found)
  if n > 0 then
    call('ZREM', parked, unpack(found, 1, n))
    call('ZREM', kinds, unpack(members, 1, n))
  end
end
if size.parked > 0 then
  for i = 1, known do unpark(ARGV[12 + i]) end
end
local more = {}
for _, lane in ipairs(lanes) do
  if suspects > 0 and room[lane] <= 0 then
    more[lane] = call('ZCARD', suspect[lane]) > 0
  elseif suspects > 0 and call('ZCARD', suspect[lane]) > 0 then
    local found = call('ZRANGE', suspect[lane], '0', '0')
    if take(lane, found) > 0 then
      suspects = 0
      call('ZREM', suspect[lane], found[1])
      more[lane] = call('ZCARD', suspect[lane]) > 0
    end
  end
  local left = call('ZCARD', ready[lane]) - 1
  if room[lane] > 0 and left > 0 then
    local n = take(lane, call('ZRANGE', ready[lane], '0', num(math.min(room[lane], left) - 1)))
    if n > 0 then call('ZREMRANGEBYRANK', ready[lane], '0', num(n - 1)) end
    left = left - n
  end
  more[lane] = more[lane] or left > 0
end
for from = 1, #claims, 500 do call('ZADD', active, unpack(claims, from, math.min(from + 499, #claims))) end
settle(ended, endings, keeps)

-- The answer, and what is left for others.
tally.lost = #lost + refused
for name, n in pairs(tally) do
  if n > 0 then call('HINCRBY', meta, name, num(n)) end
end
local fence = 0
if #ids > 0 then
  fence = math.max(tonumber(call('HGET', meta, 'fence') or '0') + 1, micros)
  call('HSET', meta, 'fence', num(fence + #ids - 1))
end
answer = table.concat(lost, ' ')
call('HSET', calls, engine, num(number) .. ' ' .. answer)
local reply = { 'ok', num(now), kept, answer, num(fence) }
for i, lane in ipairs(lanes) do
  local head = call('ZRANGE', due[lane], '0', '0', 'WITHSCORES')[2]
  local waits = tonumber(head)
  if waits and waits <= now then more[lane] = true end
  if more[lane] then mark(wake[lane]) end
  reply[5 + i] = more[lane] and '1' or '0'
  reply[7 + i] = waits and waits < 9007199254740992 and num(waits) or ''
end
local past = pasts > 0 and #ids > 0 and call('HMGET', history, unpack(ids)) or {}
for i = 1, #ids do
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3] = ids[i], records[i], past[i] or ''
end
return reply
