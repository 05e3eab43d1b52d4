-- verdict: how runs end. A verdict counts if its run still owns the job; the places of the others are noted in lost.
-- needs: the keys of advance, keep_expired, first (the place of the first id), verdicts, plain
local lost, owned, words, fields = {}, {}, {}, {}
local tally = { succeeded = 0, failed = 0, cancelled = 0, expired = 0, retried = 0, lost = 0 }
local lengths = { keep = 2, retry = 4, back = 1, park = 2, ['break'] = 1, point = 1, left = 0, adopt = 6 }
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
-- Which verdicts count? It returns the place behind the last one's fields.
local function weigh()
  local at = first + 2 * verdicts
  if verdicts == 0 then return at end
  for i = plain + 1, verdicts do
    words[i], fields[i] = ARGV[at], at + 1
    at = at + 1 + lengths[words[i]]
  end
  local scores = call('ZMSCORE', active, unpack(ARGV, first, first + verdicts - 1))
  for i = 1, verdicts do
    local id, score, mine = ARGV[first + i - 1], scores[i], ARGV[first + verdicts + i - 1]
    owned[i] = score == mine or (score and tonumber(score) == tonumber(mine)) or false
    if words[i] == 'left' then owned[i] = false end
    if not owned[i] then
      if words[i] ~= 'left' then lost[#lost + 1] = num(i) end
      -- The handler of a cancelled job has returned, but if it only commits in the middle.
      local left = words[i] ~= 'point' and call('ZSCORE', leaving, id)
      if left and tonumber(left) == tonumber(mine) then call('ZREM', leaving, id) end
    end
  end
  return at
end
-- embrace: the outcome of a job will be that of another one. Where that is not known, or where it would be handed on more
-- than a hundred times or in a circle, the outcomes that are given stand for it.
local function embrace(id, inner, to, keep, unknown, endless)
  local k = kin()
  local n = k.whole(id)
  if to == '' then
    local below, steps = inner, n.depth
    while below and steps < 100 and below ~= id do
      local m = call('ZSCORE', adopting, below) and k.node(below)
      local text = m and not m.only and k.look(below .. '/<' .. num(m.parents))
      below, steps = nil, steps + 1
      if text and string.sub(text, 1, 2) == '-a' then
        local _, _, _, parent = k.edge(string.sub(text, 2))
        below = parent
      end
    end
    if below then return finish(id, endless, keep_expired, 'failed') end
  end
  n.keep = keep
  k.change(id, n)
  call('ZADD', adopting, num(now), id)
  if to ~= '' then
    n.due = '~' .. to .. ',' .. k.shown(inner)
    return k.send(to, '<,' .. k.shown(id), '', inner, '')
  end
  n.parents = n.parents + 1
  if not k.connect(inner, id, 'a', '.', num(n.parents)) then
    n.parents = n.parents - 1
    call('ZREM', adopting, id)
    finish(id, unknown, keep_expired, 'failed')
  elseif call('HEXISTS', jobs, inner) == 1 then
    local m = k.whole(inner)
    m.depth = math.max(m.depth, n.depth + 1)
    k.change(inner, m)
  end
end
local function conclude(id, word, at)
  if word == 'keep' then
    local outcome = ARGV[at]
    finish(id, outcome, tonumber(ARGV[at + 1]), tallied[string.sub(outcome, 2, 2)])
  elseif word == 'retry' then
    local head, wait, past, late = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
    local limit = string.sub(head, 6, 6) == 'd' and (tonumber(call('ZSCORE', deadlines, id) or 0))
    if limit and late ~= '' and limit < now + wait then
      finish(id, late, keep_expired, tallied[string.sub(late, 2, 2)])
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
    local head = ARGV[at]
    if head == '' then head = call('HGET', jobs, id) end
    if sound(head) then
      again(id, head)
      overdue(id, head)
    else
      isolate(id, head and 'the header of the record cannot be read' or 'the record is missing')
    end
  elseif word == 'park' then
    local head, task = ARGV[at], ARGV[at + 1]
    call('ZADD', parked, rank(head, front(meta, 1) + 1), id)
    call('ZADD', kinds, '0', string.sub(head, 2, 2) .. '/' .. task .. '/' .. id)
    overdue(id, head)
    mark(wake[string.sub(head, 2, 2)]) -- another worker may know it: the one that has waited longest is asked
  elseif word == 'adopt' then
    embrace(id, ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4], ARGV[at + 5])
  elseif word == 'point' then
    if ARGV[at] ~= '' then call('HSET', checkpoints, id, ARGV[at]) end
  else
    isolate(id, ARGV[at])
  end
end
-- Applies the verdicts that count; all but checkpoints end the run.
local function apply()
  if verdicts == 0 then return end
  local over, all, n = {}, true, #ended
  for i = 1, plain do
    local id = ARGV[first + i - 1]
    if owned[i] then
      n = n + 1
      over[n], ended[n], endings[n], keeps[n] = id, id, silent, 0
    else
      all = false
    end
  end
  tally.succeeded = tally.succeeded + n
  for i = plain + 1, verdicts do
    if owned[i] and words[i] ~= 'point' then over[#over + 1] = ARGV[first + i - 1] else all = false end
  end
  if all then
    call('ZREM', active, unpack(ARGV, first, first + verdicts - 1))
  elseif #over > 0 then
    call('ZREM', active, unpack(over))
  end
  for i = plain + 1, verdicts do
    if owned[i] then conclude(ARGV[first + i - 1], words[i], fields[i]) end
  end
end
-- The books are closed over those that have ended so far.
local function close()
  settle(ended, endings, keeps)
  ended, endings, keeps = {}, {}, {}
end
