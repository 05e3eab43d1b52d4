-- put: accept jobs. Due ones become ready, the others wait for their time.
-- keys:    lines lastcalls jobs outcomes done ready:thread ready:reactor due:thread due:reactor deadlines wake:thread wake:reactor meta
-- args:    line, number of the call, number of jobs, then for each job: id, record, due, deadline.
--          due: '' now | '+ms' from now | '@ms' at. deadline: '' none | '+ms' after the due time | '@ms' at
-- returns: {'ok' | 'again', now_ms, refused} | {'stale', now_ms}; refused: places of the jobs whose id bears other contents,
--          counted from 1, with blanks between
-- moves:   new -> ready | due. An id that bears the same contents, stored or ended, is left alone
-- repeat:  safe: the number was applied before, the kept answer comes back
-- bound:   500 jobs
-- with:    record sentinel wake line
local lines, lastcalls, jobs, outcomes, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ready = { t = KEYS[6], r = KEYS[7] }
local due = { t = KEYS[8], r = KEYS[9] }
local deadlines, wake, meta = KEYS[10], { t = KEYS[11], r = KEYS[12] }, KEYS[13]
local line, number, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local reply, last = heard(lines, line, number)
if reply then return reply end

-- Every key that may be written is read first: one of a wrong type fails here, before anything has changed.
local ended = call('HLEN', outcomes) + call('ZCARD', done)
local size = { ready = {}, due = {} }
for _, lane in ipairs({ 't', 'r' }) do
  size.ready[lane] = call('ZCARD', ready[lane])
  size.due[lane] = call('ZCARD', due[lane])
  call('LLEN', wake[lane])
end
call('HLEN', jobs); call('ZCARD', deadlines); counters(meta, 'order'); call('ZCARD', lastcalls)

-- An adding write comes first, so that full memory refuses the call as a whole.
note(lines, lastcalls, line, number, last, '')

local function same(id, record)
  local old = call('HGET', jobs, id)
  if old then return old == record or (digest(record) ~= '' and digest(old) == digest(record)) end
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
local place = order(meta, count)
for i = 1, count do
  local at = 4 * i
  local id, record, when, limit = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if (ended > 0 and call('ZSCORE', done, id)) or call('HSETNX', jobs, id, record) == 0 then
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
    mark(wake[lane])
  end
  if #adds.due[lane] > 0 then
    grow(due[lane], size.due[lane])
    local head = call('ZRANGE', due[lane], '0', '0')[1]
    add(due[lane], adds.due[lane])
    if call('ZRANGE', due[lane], '0', '0')[1] ~= head then mark(wake[lane]) end
  end
end

local answer = table.concat(refused, ' ')
if answer ~= '' then note(lines, lastcalls, line, number, now, answer) end
return { 'ok', num(now), answer }
