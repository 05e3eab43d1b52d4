-- settle: the end of jobs. Their records go, outcomes that are wanted stay for their time, who waits is told, who follows
-- goes on.
-- An outcome begins with a text header (docs/wire.md); ending.lua writes it.
-- needs: jobs, history, checkpoints, deadlines, outcomes, done, watched, meta, edges
local silent = '1s-0000010000' .. '0000000000000' .. '000' -- a plain success, which leaves nothing
local function part(ids, endings, keeps, from, to)
  if call('HLEN', history) > 0 then call('HDEL', history, unpack(ids, from, to)) end
  if call('HLEN', checkpoints) > 0 then call('HDEL', checkpoints, unpack(ids, from, to)) end
  if call('ZCARD', deadlines) > 0 then call('ZREM', deadlines, unpack(ids, from, to)) end
  local channels = call('HLEN', watched) > 0 and call('HMGET', watched, unpack(ids, from, to))
  local linked = (links or call('HLEN', edges) > 0) and kin()
  -- Plain successes stand together: if the first and the last are, all are. Of most nobody wants to know.
  if not channels and not linked and endings[from] == silent and endings[to] == silent then
    return call('HDEL', jobs, unpack(ids, from, to))
  end
  local at, fields, clock, told = string.format('%013.0f', now), {}, {}, {}
  local rest
  if linked then
    local outcome = string.sub(silent, 1, 13) .. at .. string.sub(silent, 27)
    rest = linked.crowd(ids, from, to, endings, silent, outcome, channels)
  end
  for place = 1, rest and #rest or to - from + 1 do
    local i = rest and rest[place] or from + place - 1
    local id, keep = ids[i], keeps[i]
    local listeners = channels and channels[i - from + 1]
    local n = linked and linked.node(id)
    if endings[i] == silent and (listeners or n and (not n.only or string.sub(n.only, 2, 2) == '!')) then
      -- It leaves an outcome after all, which names its task and, with an own id, its contents.
      local record = call('HGET', jobs, id)
      if sound(record) then endings[i] = ending('s', record, '0000010000') end
    end
    local outcome = (listeners or n or keep > 0) and string.sub(endings[i], 1, 13) .. at .. string.sub(endings[i], 27)
    if listeners then
      keep = math.max(keep, 60000)
      told[#told + 1] = id
      for channel in string.gmatch(listeners, '%S+') do
        call('PUBLISH', channel, string.sub(outcome, 2, 2) .. id)
      end
    end
    local held = n and linked.bequeath(id, n, outcome, keep)
    if held or keep > 0 then fields[#fields + 1], fields[#fields + 2] = id, outcome end
    if keep > 0 and not held then clock[#clock + 1], clock[#clock + 2] = num(now + keep), id end
  end
  if #fields > 0 then call('HSET', outcomes, unpack(fields)) end
  if #clock > 0 then call('ZADD', done, unpack(clock)) end
  call('HDEL', jobs, unpack(ids, from, to))
  if linked and next(linked.graves) then
    for i = from, to do
      if linked.graves[ids[i]] then call('HSET', jobs, ids[i], linked.graves[ids[i]]) end
    end
  end
  if #told > 0 then call('HDEL', watched, unpack(told)) end
end
local function settle(ids, endings, keeps)
  for from = 1, #ids, 250 do part(ids, endings, keeps, from, math.min(from + 249, #ids)) end
  if not links then return end
  -- Those that ended because these did. Each has cost an edge, so there is an end to it.
  local more = links.landed()
  while #more.ids > 0 do
    for _, outcome in ipairs(more.endings) do call('HINCRBY', meta, tallied[string.sub(outcome, 2, 2)], '1') end
    for from = 1, #more.ids, 250 do part(more.ids, more.endings, more.keeps, from, math.min(from + 249, #more.ids)) end
    more = links.landed()
  end
  links.store()
  links.flush()
end
