-- schedule: accept jobs that must be looked at: they may be due later, have a deadline, bear an id of the user's, or
-- have been put before.
-- keys:    lines lastcalls jobs outcomes done ready:thread ready:reactor due:thread due:reactor deadlines wake:thread wake:reactor meta
-- args:    line, number of the call, number of jobs, then for each job: id, record, due, deadline (see accept.lua)
-- returns: {'ok' | 'again', now_ms, refused} | {'stale', now_ms}; refused: places of the jobs whose id bears other contents,
--          counted from 1, with blanks between
-- moves:   new -> ready | due. An id that bears the same contents, stored or ended, is left alone
-- repeat:  safe: the number was applied before, the kept answer comes back
-- bound:   500 jobs
-- with:    clock record rank sentinel wake line accept
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
call('ZCARD', done)
local marked = {}
for _, lane in ipairs({ 't', 'r' }) do
  if used.ready[lane] or used.due[lane] then
    call('ZCARD', ready[lane])
    marked[lane] = call('LLEN', wake[lane]) > 0
  end
  if used.due[lane] then call('ZCARD', due[lane]) end
end
if limits then call('ZCARD', deadlines) end
if now - last > keep_time then call('ZCARD', lastcalls) end
-- An adding write comes first, so that full memory refuses the call as a whole.
local place = order(meta, count)

local refused = {}
for i = 1, count do
  if not one(4 * i, place + i) then refused[#refused + 1] = num(i) end
end
file(marked)

local answer = table.concat(refused, ' ')
note(lines, lastcalls, line, number, last, answer)
return { 'ok', num(now), answer }
