-- resume: go on with what was more than a call's work: ends that followers are yet to be told of, flows whose graphs are
-- yet to be taken apart.
-- keys:    jobs history checkpoints active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched quarantine faults wake:thread wake:reactor meta edges waiting adopting callbacks outbox outgoing
-- args:    the queue's name
-- returns: {'ok', now_ms, errands (see follow.lua)}
-- moves:   new -> ready | due | waiting; callbacks -> done | nothing; what is told may move as follow.lua says
-- repeat:  safe: each edge and each part of a graph is worked off once, in the step that does so
-- bound:   500 edges, 500 parts of graphs
-- with:    clock record moment rank sentinel wake isolate withdraw ending kin settle same probe
local jobs, history, checkpoints, active, leaving = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ready, due = { t = KEYS[6], r = KEYS[7] }, { t = KEYS[8], r = KEYS[9] }
local suspect, parked, kinds = { t = KEYS[10], r = KEYS[11] }, KEYS[12], KEYS[13]
local deadlines, outcomes, done, watched = KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local quarantine, faults, wake, meta = KEYS[18], KEYS[19], { t = KEYS[20], r = KEYS[21] }, KEYS[22]
local edges, waiting, adopting, callbacks, outbox, outgoing = KEYS[23], KEYS[24], KEYS[25], KEYS[26], KEYS[27], KEYS[28]
local queue = ARGV[1]

local parts, k = 500, kin()
-- begun is a page of those that somebody must go on with. Of more than that the next call sees to the rest.
local function begun(set)
  local ids = call('ZRANGEBYSCORE', set, '0', '0', 'LIMIT', '0', '100')
  if #ids == 100 then k.unfinish() end
  return ids
end
local stolen = {} -- ids of parts that bear other jobs
-- A part of a graph is a line of: length of the id, of the record, where to or '-', due or '-', deadline or '-', edge to the
-- flow itself (condition, class, place) or '-', number of parents; then the id; for each parent condition, class, length of
-- its id in three digits, the id; then the record.
local function plant(flow, base, text, at, over, far)
  local stop = string.find(text, '\n', at, true)
  local size, bytes, to, when, limit, root, count =
    string.match(string.sub(text, at, (stop or 0) - 1), '^(%d+) (%d+) (%S+) (%S+) (%S+) (%S+) (%d+)$')
  if not size then return nil end
  -- The graph was written for the queue that the flow was to run in, which it has not reached.
  if far then to = to == '-' and far or to == queue and '-' or to end
  at = stop + 1 + tonumber(size)
  local id, parents = string.sub(text, stop + 1, at - 1), {}
  for i = 1, tonumber(count) do
    local long = tonumber(string.sub(text, at + 2, at + 4))
    parents[i] = { string.sub(text, at, at), string.sub(text, at + 1, at + 1), string.sub(text, at + 5, at + 4 + long) }
    at = at + 5 + long
  end
  local record = string.sub(text, at, at - 1 + tonumber(bytes))
  at = at + tonumber(bytes)
  local n, kept
  if over and root ~= '-' then
    -- The flow has ended without it.
    if call('HEXISTS', outcomes, id) == 0 and call('HSETNX', jobs, id, record) == 1 then
      k.cancelled(id, record)
      if compound(record) then k.whole(id).to = to end -- its graph was written for there
    end
    return at
  end
  -- What has been put by itself goes its own way; the flow only follows it.
  if call('HEXISTS', outcomes, id) == 0 and call('HSETNX', jobs, id, record) == 1 then
    n = k.fresh()
    k.blank(id)
    n.parents, n.left, n.to, n.due, n.deadline = #parents, #parents, to, when, limit
    if #parents + #to + #when + #limit > 3 or compound(record) then
      k.change(id, n)
      call('ZADD', waiting, num(now), id)
      k.await(id)
      kept = true
    end
  end
  if root ~= '-' then
    local condition, class, place = string.sub(root, 1, 1), n and string.sub(root, 2, 2) or '-', num(base + tonumber(string.sub(root, 3)))
    if n and not kept then
      k.change(id, { only = condition .. '*' .. place .. ' ' .. flow })
      return at, id, record, tonumber(place)
    end
    local taken = not n and not same(id, record)
    stolen[id] = taken
    if taken or not k.connect(id, flow, condition, class, place) then k.absent(id, flow, condition, class, place, taken) end
  end
  for i, parent in ipairs(n and parents or {}) do
    local taken = stolen[parent[3]]
    if taken or not k.connect(parent[3], id, parent[1], parent[2], num(i)) then k.absent(parent[3], id, parent[1], parent[2], num(i), taken) end
  end
  if n and not kept then return at, id, record end
  if n and #parents == 0 then k.release(id, n) end
  return at
end
-- list joins parts that follow nothing to their flow, those with places in a row by one list.
local function list(flow, new)
  local n, from = k.whole(flow), 1
  for i, part in ipairs(new) do
    local after = new[i + 1]
    if part[3] and not (after and after[3] == part[3] + 1) then
      local ids = {}
      for at = from, i do ids[#ids + 1] = string.format('%03.0f', #new[at][1]) .. new[at][1] end
      n.lists = n.lists + 1
      k.write(flow .. '/[' .. num(n.lists), num(new[from][3]) .. ' ' .. table.concat(ids))
    end
    if not part[3] or not (after and after[3] == part[3] + 1) then from = i + 1 end
  end
  k.change(flow, n)
end
-- Those that wait for nothing become ready together.
local function enter(new)
  local last = order(meta, #new)
  for _, lane in ipairs({ 't', 'r' }) do
    local z = {}
    for i, part in ipairs(new) do
      if string.sub(part[2], 2, 2) == lane then z[#z + 1], z[#z + 2] = rank(part[2], last + i), part[1] end
    end
    if #z > 0 then
      grow(ready[lane], call('ZCARD', ready[lane]))
      for from = 1, #z, 500 do call('ZADD', ready[lane], unpack(z, from, math.min(from + 499, #z))) end
      k.lit[lane] = true
    end
  end
end
-- unfold takes the next parts out of a flow's graph. When there are none it is a job like others, and waits for its parts.
local function unfold(flow, over)
  local text, n = call('HGET', jobs, flow), k.node(flow)
  local at = n and not n.only and n.at
  if not sound(text) or not compound(text) or not at then
    call('ZREM', waiting, flow)
    return isolate(flow, 'its graph cannot be read')
  end
  local begins = 15 + (string.sub(text, 5, 5) == 'o' and 16 or 0) + tonumber(string.sub(text, 12, 14))
  local ends = begins + 8 + tonumber(string.sub(text, begins, begins + 7))
  local base, new = math.floor(at / 4294967296), {}
  local far = over and k.sent(n)
  at = begins + at - base * 4294967296
  while at and at < ends and parts > 0 and (over or k.awaits(flow)) do
    parts = parts - 1
    local id, record, place
    at, id, record, place = plant(flow, base, text, at, over, far)
    if id then new[#new + 1] = { id, record, place } end
  end
  if #new > 0 then
    enter(new)
    list(flow, new)
  end
  if not at then
    call('ZREM', waiting, flow)
    call('ZREM', callbacks, flow)
    return isolate(flow, 'its graph cannot be read')
  end
  n = k.whole(flow)
  if not over and not k.awaits(flow) then
    n.at = base * 4294967296 + at - begins -- it has ended with one of its parts
    return k.change(flow, n)
  end
  if at < ends then
    n.at = base * 4294967296 + at - begins
    k.unfinish()
    return k.change(flow, n)
  end
  if over then
    call('HDEL', jobs, flow)
    n.at = 0
    return k.change(flow, n)
  end
  local mark = string.sub(text, 7, 7) == 'G' and 'i' or '-'
  local limit = string.sub(text, begins + 8, begins + 13) == '000000' and string.sub(text, 6, 6) or '-'
  call('HSET', jobs, flow, string.sub(text, 1, 5) .. limit .. mark .. string.sub(text, 8, begins - 1) .. string.sub(text, ends))
  local won = n.due == 'w'
  n.at, n.left = 0, n.left - 1
  if won then n.due = '-' end
  k.change(flow, n)
  call('ZADD', waiting, num(now), flow)
  if n.left == 0 or won then
    k.oust(flow, n)
    k.release(flow, n)
  end
end

probe()
-- A removing write comes first: what has ended is told also when memory is full.
call('ZREM', callbacks, '')
for _, id in ipairs(begun(callbacks)) do
  local n, outcome = k.node(id), call('HGET', outcomes, id)
  if k.spent() then
    k.unfinish()
  elseif not n or not outcome then
    call('ZREM', callbacks, id)
  elseif n.at > 0 and parts <= 0 then
    k.unfinish()
  elseif n.at > 0 and unfold(id, true) or not k.toil(id, k.whole(id), outcome) then
    k.unfinish()
  elseif n.open == 0 then
    call('ZREM', callbacks, id)
    k.retire(id, n)
  else
    call('ZADD', callbacks, num(now), id)
  end
end
settle({}, {}, {})
for _, id in ipairs(begun(waiting)) do
  if parts > 0 then unfold(id) else k.unfinish() end
end
settle({}, {}, {})
shine()
return { 'ok', num(now), errands() }
