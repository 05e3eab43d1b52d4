-- deliver: take in what another queue's outbox has for this one, each once.
-- keys:    inbox jobs history checkpoints active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched quarantine faults wake:thread wake:reactor meta edges waiting adopting callbacks outbox outgoing
-- args:    number of entries, their ids in the outbox, then for each: id, record, due, deadline (see accept.lua). Besides
--          jobs there are, by what stands as due:
--            '<', queue, ',', due, ',', id   a job to be done for one that waits there; without a record: of the job, wherever
--                                            it stands, the outcome is wanted there
--            '!', ms to keep it or ''        how a job ended that was done elsewhere; the record is its outcome
--            'x'                             a job that was to be done here is cancelled
-- returns: {'ok', now_ms, refused, errands (see follow.lua)}; refused: places of the jobs whose id bears other contents,
--          and, with a minus, of those that follow an unknown one, with blanks between; a repeat no longer names them
-- moves:   new -> ready | due | waiting; adopting -> done | callbacks; x: as cancel
-- repeat:  safe: inbox remembers for a day what has arrived
-- bound:   100 entries, 500 edges
-- with:    clock record moment rank sentinel wake isolate withdraw ending kin settle same accept probe
local inbox = KEYS[1]
local jobs, history, checkpoints, active, leaving = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ready, due = { t = KEYS[7], r = KEYS[8] }, { t = KEYS[9], r = KEYS[10] }
local suspect, parked, kinds = { t = KEYS[11], r = KEYS[12] }, KEYS[13], KEYS[14]
local deadlines, outcomes, done, watched = KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local quarantine, faults, wake, meta = KEYS[19], KEYS[20], { t = KEYS[21], r = KEYS[22] }, KEYS[23]
local edges, waiting, adopting, callbacks, outbox, outgoing = KEYS[24], KEYS[25], KEYS[26], KEYS[27], KEYS[28], KEYS[29]
local count = tonumber(ARGV[1])

-- A job that another queue has sent: its outcome goes back there, however it ends.
local function sent(at)
  local k = kin()
  local id, record, when = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local first = string.find(when, ',', 1, true)
  local second = string.find(when, ',', first + 1, true)
  local home, start, origin = string.sub(when, 2, first - 1), string.sub(when, first + 1, second - 1), string.sub(when, second + 1)
  local teller = home .. ' ' .. origin
  if record ~= '' and call('HEXISTS', outcomes, id) == 0 and call('HEXISTS', jobs, id) == 0 then
    local n = k.whole(id)
    n.to = '<' .. home
    n.due, n.deadline = start ~= '' and start or '-', ARGV[at + 3] ~= '' and ARGV[at + 3] or '-'
    call('HSET', jobs, id, record)
    k.release(id, n)
  elseif record ~= '' and not same(id, record) then
    return k.send(home, '!', '', origin, k.nothing('spool.id-taken', 'the id is taken by another job'))
  end
  if not k.connect(id, teller, 'h', '.', '0') then
    k.send(home, '!', '', origin, k.nothing('spool.unknown', 'nothing is stored under this id'))
  end
end
-- How a job has ended that was done elsewhere.
local function told(at)
  local k = kin()
  local id, outcome, keep = ARGV[at], ARGV[at + 1], tonumber(string.sub(ARGV[at + 2], 2))
  if call('ZREM', adopting, id) == 0 then return end
  local n = k.node(id)
  if not n or n.only or n.to == '-' then return k.inherit(id, outcome) end
  local kind, record = string.sub(outcome, 2, 2), call('HGET', jobs, id)
  k.fall(id, outcome, keep or k.keeping(kind, sound(record) and record or ''))
end

call('ZCARD', inbox); probe()
-- An adding write comes first, so that full memory refuses the call as a whole.
local place = order(meta, count)
local refused = {}
for i = 1, count do
  local at = count + 4 * i - 2
  local mark = string.sub(ARGV[at + 2], 1, 1)
  if call('ZADD', inbox, 'NX', num(now), ARGV[1 + i]) == 0 then
    mark = nil
  elseif mark == '<' then
    sent(at)
  elseif mark == '!' then
    told(at)
  elseif mark == 'x' then
    kin().halt(ARGV[at])
  else
    local taken = one(at, place + i)
    if not taken then refused[#refused + 1] = (taken == nil and '-' or '') .. num(i) end
  end
end
file({})
settle({}, {}, {})
shine()
return { 'ok', num(now), table.concat(refused, ' '), errands() }
