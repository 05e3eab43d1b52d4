-- follow: what the end of a job means for those that follow it, and for those it followed. Nothing here calls itself:
-- jobs that end because others did are put on a list (fall), which settle works through.
local effort = 500 -- edges a call works off
local unfinished, posted = false, false
local awaited, lit = {}, {} -- who waits; lanes that work has come to
local fallen = { ids = {}, endings = {}, keeps = {} }
local function landed()
  local all = fallen
  fallen = { ids = {}, endings = {}, keeps = {} }
  return all
end
local function unfinish() unfinished = true end
local function spent() return effort <= 0 end
local function fall(id, outcome, keep)
  local n = #fallen.ids + 1
  fallen.ids[n], fallen.endings[n], fallen.keeps[n] = id, outcome, keep
end
-- A stored id as users see it: what goes to other queues is text with blanks between.
local function shown(id)
  if #id ~= 16 or string.byte(id) >= 32 then return id end
  return (string.gsub(id, '.', function(c) return string.format('%02x', string.byte(c)) end))
end
-- send leaves something in the outbox. Its name is used once: it says when, the how manieth, and from where. It stands
-- behind the ids of jobs that the same commit has put there, which it may be about.
local function send(to, when, limit, id, record)
  local n = call('HINCRBY', meta, 'posts', '1')
  local name = string.format('~%013.0f/%012.0f/', now, n) .. string.match(outbox, '{(.*)}')
  call('HSET', outbox, name, to .. ' ' .. when .. ' ' .. limit .. ' ' .. shown(id) .. ' ' .. record)
  call('ZADD', outgoing, num(now), name)
  posted = true
end
local function told_of(outcome)
  local own = string.sub(outcome, 3, 3) == 'o' and 16 or 0
  return string.sub(outcome, 30 + own + tonumber(string.sub(outcome, 27, 29)))
end
-- How long the outcome of a job is kept that ends without a run of its own.
local function keeping(kind, record)
  if kind ~= 's' then return 604800000 end
  return string.sub(record, 4, 4) == 'a' and 3600000 or 0
end
-- A flow that ends before its graph was taken apart keeps its record until it is: its callbacks, and those of its parts,
-- are in there, and they are told of its end, and of theirs.
local graves = {}
local function bury(id, record)
  local n = whole(id)
  if n.at == 0 then n.at = n.parents * 4294967296 + 14 end
  change(id, n)
  graves[id] = record
end
-- inherit ends a job as another one did.
local function inherit(id, outcome)
  local record, n = call('HGET', jobs, id), node(id)
  if not sound(record) then return isolate(id, 'the record cannot be read') end
  if compound(record) then bury(id, record) end
  local kind = string.sub(outcome, 2, 2)
  local keep = n and not n.only and n.keep >= 0 and n.keep or keeping(kind, record)
  if kind ~= 's' then keep = math.max(keep, keeping(kind, record)) end
  fall(id, ending(kind, record, call('HGET', history, id)) .. told_of(outcome), keep)
end
local function cancelled(id, record)
  if compound(record) then bury(id, record) end
  fall(id, ending('c', record, call('HGET', history, id)), keeping('c', record))
end
-- nothing is the outcome of a job that is none: a failure in words, of an error that is declared under a name.
local function nothing(name, text)
  local function str(s) return (#s < 32 and string.char(160 + #s) or '\217' .. string.char(#s)) .. s end
  local told = '\129\161n\145\131\161t' .. str('*errors.errorString') .. '\161m' .. str(text) .. '\161k' .. str(name)
  return '1f-0000000000' .. string.format('%013.0f', now) .. '000\129\167failure\196' .. string.char(#told) .. told
end
-- begin: a flow waits while its graph is taken apart, a slice a call, by resume. It returns how many parts it has.
local function begin(id, record)
  local at = 15 + (string.sub(record, 5, 5) == 'o' and 16 or 0) + tonumber(string.sub(record, 12, 14))
  local parts = tonumber(string.sub(record, at + 8, at + 13))
  local n = whole(id)
  n.at = n.parents * 4294967296 + 14
  n.parents, n.left = n.parents + parts, n.left + parts + 1
  n.due, n.deadline = '-', '-' -- they have been kept: who waits for parts does not begin again
  change(id, n)
  call('ZADD', waiting, '0', id)
  if parts > 0 then call('ZREM', deadlines, id) end -- it has begun; one that only has callbacks has not
  awaited[id] = true
  unfinished = true
  lit[string.sub(record, 2, 2)] = true -- should its client be gone, the worker that looks goes on with it
  return parts
end
-- release: nothing keeps it waiting any more.
local function release(id, n)
  call('ZREM', waiting, id)
  awaited[id] = false
  local record = call('HGET', jobs, id)
  if not sound(record) then return isolate(id, record and 'the header of the record cannot be read' or 'the record is missing') end
  local start, limit, lane = now, nil, string.sub(record, 2, 2)
  if n.due ~= '-' then start = math.max(now, moment(n.due, now)) end
  if n.deadline ~= '-' then limit = moment(n.deadline, start) end
  if sent(n) then
    send(n.to, '<' .. (start > now and '@' .. num(start) or '') .. ',' .. shown(id), limit and '@' .. num(limit) or '', id, record)
    call('ZADD', adopting, num(now), id)
    return
  end
  if limit then call('ZADD', deadlines, num(limit), id) end
  if start > now then
    grow(due[lane], call('ZCARD', due[lane]))
    call('ZADD', due[lane], num(start), id)
    if call('ZRANGE', due[lane], '0', '0')[1] == id then lit[lane] = true end
  elseif compound(record) then
    begin(id, record)
  else
    grow(ready[lane], call('ZCARD', ready[lane]))
    call('ZADD', ready[lane], rank(record, front(meta, 1) + 1), id)
    lit[lane] = true
  end
end
local function await(id) awaited[id] = true end
local function awaits(id)
  if awaited[id] == nil then awaited[id] = call('ZSCORE', waiting, id) and true or false end
  return awaited[id]
end
-- What has arrived at a follower by way of lists is put on heaps, one a call.
local piles = {}
local function heap(child)
  local pile = piles[child]
  if not pile then
    pile = {}
    piles[child] = pile
  end
  return pile
end
local function store()
  for child, pile in pairs(piles) do
    local n = node(child)
    if n and not n.only and #pile > 0 then
      n.heaps = n.heaps + 1
      change(child, n)
      write(child .. '/=' .. num(n.heaps), table.concat(pile))
    end
  end
  piles = {}
end
local function copy(parent, outcome, condition, class)
  return '=' .. condition .. class .. string.format('%03.0f', #parent) .. parent .. outcome
end
local oust
-- arrive: a follower is told how a job has ended. It returns true if the job is to be held until the follower ends.
local function arrive(parent, outcome, text)
  local condition, class, place, child = edge(text)
  local good = string.sub(outcome, 2, 2) == 's'
  if condition == 'h' then
    local blank, p = string.find(child, ' ', 1, true), node(parent)
    local keep = p and not p.only and p.keep >= 0 and num(p.keep) or ''
    send(string.sub(child, 1, blank - 1), '!' .. keep, '', string.sub(child, blank + 1), outcome)
    return false
  end
  local field = child .. '/<' .. place
  if condition == 'a' then
    write(field, false)
    if call('ZREM', adopting, child) == 1 then inherit(child, outcome) end
    return false
  end
  local n = node(child)
  if not n or not awaits(child) then
    if class ~= '*' then write(field, false) end
    return false
  end
  n.left = n.left - 1
  if not good then n.bad = n.bad + 1 end
  change(child, n)
  if ((condition == 's' or condition == 'c') and not good) or (condition == 'f' and good) then
    if class ~= '*' then write(field, false) end
    call('ZREM', waiting, child)
    awaited[child] = false
    if condition == 'c' then
      local record = call('HGET', jobs, child)
      if sound(record) then cancelled(child, record) else isolate(child, 'the record cannot be read') end
    else
      inherit(child, outcome)
    end
    return false
  end
  local held = false
  if class == '.' then
    write(field, false)
  elseif class ~= '!' and #outcome <= 1024 then
    -- A small outcome is copied to who wants it; a large one is kept where it is.
    if class == '*' then
      local pile = heap(child)
      pile[#pile + 1] = string.format('%s%s%s %03.0f%04.0f', condition, class, place, #parent, #outcome) .. parent .. outcome
    else
      write(field, copy(parent, outcome, condition, class))
    end
  else
    held, n.loose = true, 1
    write(field, '+' .. condition .. class .. '0 ' .. parent)
  end
  if condition == 'w' and good and n.at > 0 then
    n.due = 'w'
  elseif n.left == 0 or (condition == 'w' and good) then
    oust(child, n)
    release(child, n)
  end
  return held
end
-- halt cancels a job whose end nobody waits for any more. What another queue has of it is cancelled there.
local function halt(id)
  local record = call('HGET', jobs, id)
  if not sound(record) then return end
  local token = call('ZSCORE', active, id)
  if token then
    call('ZREM', active, id)
    call('ZADD', leaving, num(tonumber(token)), id)
    return cancelled(id, record)
  end
  if call('ZSCORE', adopting, id) then
    local n = node(id)
    if sent(n) then return send(n.to, 'x', '', id, '') end
    call('ZREM', adopting, id)
    return cancelled(id, record)
  end
  if withdraw(id, record) then
    awaited[id] = false
    cancelled(id, record)
  end
end
-- retire: an ended job has no more to do with others, its time runs from here.
local function retire(id, n)
  change(id, false)
  if n.keep > 0 then call('ZADD', done, num(now + n.keep), id) else call('HDEL', outcomes, id) end
end
-- ties is how many steps it takes to let go of the parents of a job: a list or a heap at a time, or one by one.
local function ties(n) return n.lists + n.heaps + (n.loose > 0 and n.parents or 0) end
-- free lets go of one parent of a job that has ended.
local function free(child, place)
  local field = child .. '/<' .. place
  local text = look(field)
  if not text then return end
  write(field, false)
  local mark = string.sub(text, 1, 1)
  if mark == '=' then return end
  local condition, class, k, parent = edge(string.sub(text, 2))
  local n = node(parent)
  if not n then return end
  if mark == '+' then
    n.open = n.open - 1
    change(parent, n)
    if n.open == 0 and n.at == 0 and n.told == n.followers and n.freed == ties(n) and call('ZREM', callbacks, parent) == 1 then retire(parent, n) end
    return
  end
  -- The parent goes on, and no longer knows of this follower.
  local mine = condition .. class .. place .. ' ' .. child
  if n.only == mine then
    change(parent, false)
  elseif not n.only and look(parent .. '/>' .. k) == mine then
    write(parent .. '/>' .. k, false)
  else
    return
  end
  if class == '+' then halt(parent) end
end
-- strike lets go of the parents in a list. If not all have arrived, those that have not ended are cancelled.
local function strike(child, n, field)
  local text = n.left > 0 and look(field)
  write(field, false)
  if not text then return end
  local blank = string.find(text, ' ', 1, true)
  local place, at, ids = tonumber(string.sub(text, 1, blank - 1)), blank + 1, {}
  while at <= #text do
    local size = tonumber(string.sub(text, at, at + 2))
    ids[#ids + 1] = string.sub(text, at + 3, at + 2 + size)
    at = at + 3 + size
  end
  ahead(ids)
  for i, id in ipairs(ids) do
    effort = effort - 1
    local mine, p = '*' .. num(place + i - 1) .. ' ' .. child, node(id)
    local out = p and (p.only or look(id .. '/>1'))
    if out and string.sub(out, 2) == mine then
      if p.only then change(id, false) else write(id .. '/>1', false) end
      halt(id)
    end
  end
end
-- oust cancels the losers of a race that is won: they may hold the very slots that it needs to end. What is more than a
-- call's work is cancelled when it has ended.
oust = function(child, n)
  if n.left == 0 then return end
  for q = 1, n.lists do
    if effort > 0 then strike(child, n, child .. '/[' .. num(q)) end
  end
  local i = 1
  while n.loose > 0 and i <= n.parents and effort > 0 do
    local text = look(child .. '/<' .. num(i))
    if text and string.sub(text, 1, 1) == '-' then
      effort = effort - 1
      free(child, num(i))
    end
    i = i + 1
  end
end
-- unbind does the next step of letting go.
local function unbind(id, n, step)
  if step <= n.lists then
    strike(id, n, id .. '/[' .. num(step))
  elseif step <= n.lists + n.heaps then
    write(id .. '/=' .. num(step - n.lists), false)
  else
    free(id, num(step - n.lists - n.heaps))
  end
end
-- toil works off the edges of an ended job, and says whether that was all.
local function toil(id, n, outcome)
  local fields = {}
  for k = n.told + 1, math.min(n.followers, n.told + effort) do fields[#fields + 1] = id .. '/>' .. num(k) end
  if n.loose > 0 then
    local past = n.lists + n.heaps
    for i = math.max(1, n.freed + 1 - past), math.min(n.parents, n.freed + effort - past) do fields[#fields + 1] = id .. '/<' .. num(i) end
  end
  ahead(fields)
  change(id, n)
  while n.told < n.followers and effort > 0 do
    n.told, effort = n.told + 1, effort - 1
    local field = id .. '/>' .. num(n.told)
    local text = look(field)
    if text then
      write(field, false)
      if arrive(id, outcome, text) then n.open = n.open + 1 end
    end
  end
  while n.freed < ties(n) and effort > 0 do
    n.freed, effort = n.freed + 1, effort - 1
    unbind(id, n, n.freed)
  end
  return n.at == 0 and n.told == n.followers and n.freed == ties(n)
end
-- crowd sees to ended jobs that were plain successes and that only a flow follows, by a list: of ends in a large flow almost
-- all are such. It returns the places of the others.
local function crowd(ids, from, to, endings, plain, outcome, told)
  local texts, rest = call('HMGET', edges, unpack(ids, from, to)), {}
  local size, short = string.format('%04.0f', #outcome), string.format('016%04.0f', #outcome)
  local last, n, pile
  for i = from, to do
    local id = ids[i]
    local text, seen = memo[id], false
    if text == nil then text = texts[i - from + 1] end
    if text and string.byte(text) == 62 and endings[i] == plain and not (told and told[i - from + 1]) then
      local blank = string.find(text, ' ', 5, true)
      local child, condition = string.sub(text, blank + 1), string.byte(text, 2)
      if child ~= last then
        last, n = child, node(child)
        if n and (n.only or not awaits(child)) then n = nil end
        pile = n and heap(child)
        if n then changed[child] = true end
      end
      -- The last to arrive, and a race, are no ordinary cases.
      if n and n.left > 1 and effort > 0 and string.byte(text, 3) == 42 and (condition == 100 or condition == 115 or condition == 99) then
        effort, n.left, seen = effort - 1, n.left - 1, true
        local at = #pile
        pile[at + 1], pile[at + 2], pile[at + 3], pile[at + 4] = string.sub(text, 2, blank), #id == 16 and short or string.format('%03.0f', #id) .. size, id, outcome
        memo[id] = false
        shed[#shed + 1] = id
      end
    end
    if not seen then
      memo[id] = text
      rest[#rest + 1] = i
    end
  end
  return rest
end
-- bequeath: a job that has a node has ended. It returns whether its outcome must stay for others.
local function bequeath(id, n, outcome, keep)
  piles[id] = nil -- what has arrived in this call, before the end, nobody wants to know
  if n.only then
    if effort > 0 then
      effort = effort - 1
      local text = n.only
      change(id, false)
      if not arrive(id, outcome, text) then return false end
      n = fresh()
      n.followers, n.told, n.open = 1, 1, 1
    else
      n = whole(id)
    end
  end
  n.keep = keep
  local all = toil(id, n, outcome)
  if all and n.open == 0 then
    change(id, false)
    return false
  end
  change(id, n)
  call('ZADD', callbacks, all and num(now) or '0', id)
  unfinished = unfinished or not all
  return true
end
local function left() return (unfinished and 'r' or '') .. (posted and 'p' or '') end
