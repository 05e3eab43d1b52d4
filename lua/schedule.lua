-- schedule: accept jobs that must be looked at: they may be due later, have a deadline, bear an id of the user's, or
-- have been put before.
-- keys:    lines lastcalls jobs outcomes done ready:thread ready:reactor due:thread due:reactor deadlines wake:thread wake:reactor meta
-- args:    line, number of the call, number of jobs, then for each job: id, record, due, deadline.
--          due: '' now | '+ms' from now | '@ms' at. deadline: '' none | '+ms' after the due time | '@ms' at
-- returns: {'ok' | 'again', now_ms, refused} | {'stale', now_ms}; refused: places of the jobs whose id bears other contents,
--          counted from 1, with blanks between
-- moves:   new -> ready | due. An id that bears the same contents, stored or ended, is left alone
-- repeat:  safe: the number was applied before, the kept answer comes back
-- bound:   500 jobs
-- with:    clock record rank sentinel wake line
local lines, lastcalls, jobs, outcomes, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ready = { t = KEYS[6], r = KEYS[7] }
local due = { t = KEYS[8], r = KEYS[9] }
local deadlines, wake, meta = KEYS[10], { t = KEYS[11], r = KEYS[12] }, KEYS[13]
local line, number, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local reply, last = heard(lines, line, number)
if reply then return reply end

-- Which lanes and sets do these jobs concern? A single put is cheap because it asks for nothing else.
local used = { ready = {}, due = {} }
local limits = false
for i = 1, count do
  local at = 4 * i
  local lane = string.sub(ARGV[at + 1], 2, 2)
  used[ARGV[at + 2] == '' and 'ready' or 'due'][lane] = true
  limits = limits or ARGV[at + 3] ~= ''
end
-- Every key that may be written is read first, but jobs and meta, of which the first write fails while nothing has
-- changed that matters: one of a wrong type fails here.
local ids = {}
for i = 1, count do ids[i] = ARGV[4 * i] end
local ended = call('ZMSCORE', done, unpack(ids))
local size, marked = { ready = {}, due = {} }, {}
for _, lane in ipairs({ 't', 'r' }) do
  if used.ready[lane] or used.due[lane] then
    size.ready[lane] = call('ZCARD', ready[lane])
    marked[lane] = call('LLEN', wake[lane]) > 0
  end
  if used.due[lane] then size.due[lane] = call('ZCARD', due[lane]) end
end
if limits then call('ZCARD', deadlines) end
if now - last > keep_time then call('ZCARD', lastcalls) end
-- An adding write comes first, so that full memory refuses the call as a whole.
local place = order(meta, count)

local function same(id, record)
  local old = call('HGET', jobs, id)
  -- An id that Spool has drawn bears no digest: whoever has it has the same Partial, though the job was edited since.
  if old then return digest(old) == digest(record) end
  local outcome = call('HGET', outcomes, id)
  local own = outcome and string.sub(outcome, 3, 3) == 'o' and string.sub(outcome, 30, 45) or ''
  return own == digest(record)
end

local function moment(text, base)
  local ms = tonumber(string.sub(text, 2))
  return string.sub(text, 1, 1) == '+' and base + ms or ms
end

local refused, late = {}, {}
local adds = { ready = { t = {}, r = {} }, due = { t = {}, r = {} } }
for i = 1, count do
  local at = 4 * i
  local id, record, when, limit = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if ended[i] or call('HSETNX', jobs, id, record) == 0 then
    if not same(id, record) then refused[#refused + 1] = num(i) end
  else
    local lane = string.sub(record, 2, 2)
    local start, z = now, adds.ready[lane]
    if when ~= '' then start = math.max(now, moment(when, now)) end
    if start > now then
      z = adds.due[lane]
      z[#z + 1] = num(start)
    else
      z[#z + 1] = rank(record, place + i)
    end
    z[#z + 1] = id
    if limit ~= '' then
      late[#late + 1] = num(moment(limit, start))
      late[#late + 1] = id
    end
  end
end

local function add(set, z)
  for from = 1, #z, 500 do call('ZADD', set, unpack(z, from, math.min(from + 499, #z))) end
end
add(deadlines, late)
for _, lane in ipairs({ 't', 'r' }) do
  if #adds.ready[lane] > 0 then
    grow(ready[lane], size.ready[lane])
    add(ready[lane], adds.ready[lane])
    if not marked[lane] then mark(wake[lane]) end
  end
  if #adds.due[lane] > 0 then
    grow(due[lane], size.due[lane])
    local head = call('ZRANGE', due[lane], '0', '0')[1]
    add(due[lane], adds.due[lane])
    if call('ZRANGE', due[lane], '0', '0')[1] ~= head then mark(wake[lane]) end
  end
end

local answer = table.concat(refused, ' ')
note(lines, lastcalls, line, number, last, answer)
return { 'ok', num(now), answer }
