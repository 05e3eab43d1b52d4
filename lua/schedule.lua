-- schedule: accept jobs that must be looked at: they may be due later, have a deadline, bear an id of the user's, or
-- have been put before.
-- keys:    lines lastcalls jobs history checkpoints active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched quarantine faults wake:thread wake:reactor meta edges waiting adopting callbacks outbox outgoing
-- args:    line, number of the call, number of jobs, then for each job: id, record, due, deadline (see accept.lua)
-- returns: {'ok' | 'again', now_ms, refused, errands (see follow.lua)} | {'stale', now_ms}; refused: places of the jobs
--          whose id bears other contents, and, with a minus, of those that follow an unknown one, counted from 1, with
--          blanks between
-- moves:   new -> ready | due | waiting. An id that bears the same contents, stored or ended, is left alone
-- repeat:  safe: the number was applied before, the kept answer comes back
-- bound:   500 jobs, 500 edges
-- with:    clock record moment rank sentinel wake line isolate withdraw ending kin settle same accept probe
local lines, lastcalls = KEYS[1], KEYS[2]
local jobs, history, checkpoints, active, leaving = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local ready, due = { t = KEYS[8], r = KEYS[9] }, { t = KEYS[10], r = KEYS[11] }
local suspect, parked, kinds = { t = KEYS[12], r = KEYS[13] }, KEYS[14], KEYS[15]
local deadlines, outcomes, done, watched = KEYS[16], KEYS[17], KEYS[18], KEYS[19]
local quarantine, faults, wake, meta = KEYS[20], KEYS[21], { t = KEYS[22], r = KEYS[23] }, KEYS[24]
local edges, waiting, adopting, callbacks, outbox, outgoing = KEYS[25], KEYS[26], KEYS[27], KEYS[28], KEYS[29], KEYS[30]
local line, number, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local reply, last = heard(lines, line, number)
if reply then return reply end

call('ZCARD', lastcalls); probe()
-- An adding write comes first, so that full memory refuses the call as a whole.
local place = order(meta, count)

local refused = {}
for i = 1, count do
  local taken = one(4 * i, place + i)
  if not taken then refused[#refused + 1] = (taken == nil and '-' or '') .. num(i) end
end
file({})
settle({}, {}, {})

local answer = table.concat(refused, ' ')
note(lines, lastcalls, line, number, last, answer)
shine()
return { 'ok', num(now), answer, errands() }
