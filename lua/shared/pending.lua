-- pending: jobs that wait for a time.
-- needs: the keys of advance, keep_expired, bytes
-- Deadlines: decided before anything is claimed. A job that has begun only loses its entry: it may end, not be retried.
local function expire()
  if size.deadlines > 0 or verdicts > plain then
    local late = call('ZRANGEBYSCORE', deadlines, '-inf', '(' .. num(now), 'LIMIT', '0', '100')
    for i, record in ipairs(fetch(jobs, late, bytes)) do
      local id = late[i]
      local was = withdraw(id, record)
      if was and sound(record) then
        if compound(record) then kin().bury(id, record) end
        finish(id, ending('e', record, call('HGET', history, id)), keep_expired, 'expired')
      elseif was then
        isolate(id, record and 'the header of the record cannot be read' or 'the record is missing')
      else
        call('ZREM', deadlines, id)
      end
    end
  end
end
-- Due jobs become ready, in order of their time.
local function promote(lane)
  local head = call('ZRANGE', due[lane], '0', '0', 'WITHSCORES')[2]
  if not tonumber(head) or tonumber(head) > now then return end
  local ids = call('ZRANGEBYSCORE', due[lane], '-inf', num(now), 'LIMIT', '0', '500')
  local records = fetch(jobs, ids, bytes)
  call('ZREM', due[lane], unpack(ids, 1, #records))
  local past = pasts > 0 and call('HMGET', history, unpack(ids, 1, #records)) or {}
  local fresh, back, z = order(meta, #records), front(meta, #records), {}
  for i, record in ipairs(records) do
    if sound(record) and compound(record) then
      kin().begin(ids[i], record)
    elseif sound(record) and doubtful(past[i]) then
      call('ZADD', suspect[lane], rank(record, back + i), ids[i])
      mark(wake[lane])
    elseif sound(record) then
      z[#z + 1] = rank(record, (past[i] and back or fresh) + i)
      z[#z + 1] = ids[i]
    else
      isolate(ids[i], record and 'the header of the record cannot be read' or 'the record is missing')
    end
    if #z >= 500 then call('ZADD', ready[lane], unpack(z)); z = {} end
  end
  if #z > 0 then call('ZADD', ready[lane], unpack(z)) end
end
