-- edges: who follows whom. Of each job that follows others, or is followed, the hash has a node under its id, and a
-- field for each edge at both of its ends, so that either end finds the other without a search:
--   id      the node: '>' and the only edge that leaves it, if that is all there is to say; else '=' and, with blanks
--           between, the counts below (named), due, deadline ('-' none), where to ('-' here; '<queue' sent from there).
--           Once it has begun due may also be '~', queue, ',', id: the job there answers for this one; or 'w': a race that
--           was won while its graph is taken apart
--   id/>k   an edge that goes out: condition, class, place at the follower, ' ', the follower
--   id/<i   one that comes in: '-' not arrived, condition, class, k, ' ', the parent | '+' arrived and the parent is
--           held, likewise | '=' arrived, condition, class, length of the id in 3 digits, the parent's id, its outcome
-- The parts of a flow that follow nothing are many: their edges come in by lists, and arrive in heaps.
--   id/[q   the place of the first, ' ', then for each the length of its id in 3 digits, and the id
--   id/=c   condition, class, place, ' ', length of the id in 3 digits, of the outcome in 4, the id, the outcome, and so on
-- Conditions: d when it ends | s its success | f its failure, else the follower ends as it did | c its success, else the
--   follower is cancelled | w one of several, the first success counts | a its outcome is the follower's | h somewhere
--   else (the follower is then a queue, ' ' and an id)
-- Classes: ! a callback: the parent is held until it has ended | + its outcome is wanted, and it ends with the follower |
--   * the same, of one that is in a list | - its outcome is wanted | . nothing but its end
-- A script reads and writes through memo, as it leaves things; flush writes what has changed.
local memo, changed, nodes, shed = {}, {}, {}, {}
-- The counts of a node: edges that come in, of these not arrived (and one while its graph is taken apart), not successes;
-- edges that go out, of these told; steps done to let go of parents; followers it is held by; ms its outcome is kept, -1 not
-- known; place in its graph (and from 2^32 on, edges before those); how often outcomes are handed down to it; lists; heaps;
-- whether edges come in by themselves.
local named = { 'parents', 'left', 'bad', 'followers', 'told', 'freed', 'open', 'keep', 'at', 'depth', 'lists', 'heaps', 'loose' }
local function look(field)
  local value = memo[field]
  if value == nil then
    value = call('HGET', edges, field)
    memo[field] = value
  end
  return value
end
-- write changes a field; false takes it away.
local function write(field, value)
  memo[field] = value
  changed[field] = true
end
-- ahead reads many fields at once.
local function ahead(fields)
  for from = 1, #fields, 500 do
    local to = math.min(from + 499, #fields)
    local values = call('HMGET', edges, unpack(fields, from, to))
    for i = from, to do
      if memo[fields[i]] == nil then memo[fields[i]] = values[i - from + 1] end
    end
  end
end
local function fresh()
  local n = { due = '-', deadline = '-', to = '-' }
  for _, name in ipairs(named) do n[name] = 0 end
  n.keep = -1
  return n
end
-- node returns a job's node, or nothing.
local function node(id)
  local n = nodes[id]
  if n ~= nil then return n end
  local text = look(id)
  n = false
  if text and string.sub(text, 1, 1) == '>' then
    n = { only = string.sub(text, 2) }
  elseif text then
    n = {}
    local words, i = {}, #named
    for word in string.gmatch(string.sub(text, 2), '%S+') do words[#words + 1] = word end
    for k, name in ipairs(named) do n[name] = tonumber(words[k]) end
    n.due, n.deadline, n.to = words[i + 1], words[i + 2], words[i + 3]
  end
  nodes[id] = n
  return n
end
-- sent is the queue that a job with this node is to run in, where that is another one.
local function sent(n)
  return n and not n.only and n.to ~= '-' and string.sub(n.to, 1, 1) ~= '<' and n.to
end
-- change notes that a node has changed, or, where there is none, that it is gone.
local function change(id, n)
  nodes[id] = n
  changed[id] = true
end
-- blank notes that a job that is new has no node.
local function blank(id) memo[id] = false end
-- whole makes the node of a job one that can say everything.
local function whole(id)
  local n = node(id)
  if n and not n.only then return n end
  local full = fresh()
  if n then
    full.followers = 1
    write(id .. '/>1', n.only)
  end
  change(id, full)
  return full
end
local function edge(text)
  local blank = string.find(text, ' ', 4, true)
  return string.sub(text, 1, 1), string.sub(text, 2, 2), string.sub(text, 3, blank - 1), string.sub(text, blank + 1)
end
-- drop takes the node of a job away that had one edge.
local function drop(id)
  nodes[id], memo[id] = false, false
  shed[#shed + 1] = id
end
local function flush()
  local sets, gone = {}, shed
  for field in pairs(changed) do
    local n, value = nodes[field], memo[field]
    if n and n.only then
      value = '>' .. n.only
    elseif n then
      local words = {}
      for i, name in ipairs(named) do words[i] = num(n[name]) end
      value = '=' .. table.concat(words, ' ') .. ' ' .. n.due .. ' ' .. n.deadline .. ' ' .. n.to
    elseif n == false then
      value = false
    end
    if value then
      sets[#sets + 1], sets[#sets + 2] = field, value
    else
      gone[#gone + 1] = field
    end
  end
  changed, shed = {}, {}
  for from = 1, #gone, 500 do call('HDEL', edges, unpack(gone, from, math.min(from + 499, #gone))) end
  for from = 1, #sets, 500 do call('HSET', edges, unpack(sets, from, math.min(from + 499, #sets))) end
end
