-- claim: jobs for an engine that has room for them, and the answer it gets.
-- needs: the keys of advance, fixed, engine, number, token, room, suspects, bytes, known, refused
local ids, records, claims, more = {}, {}, {}, {}
local function take(lane, found)
  if #found == 0 or (bytes <= 0 and #ids > 0) then return 0 end
  local got, spent = fetch(jobs, found, math.max(bytes, 0))
  bytes = bytes - spent
  for i, record in ipairs(got) do
    local id = found[i]
    if not sound(record) then
      isolate(id, record and 'the header of the record cannot be read' or 'the record is missing')
    elseif string.sub(record, 6, 6) == 'd' and tonumber(call('ZSCORE', deadlines, id) or now) < now then
      finish(id, ending('e', record, call('HGET', history, id)), keep_expired, 'expired')
    else
      ids[#ids + 1], records[#records + 1] = id, record
      claims[#claims + 1], claims[#claims + 2] = token, id
      room[lane] = room[lane] - 1
    end
  end
  return #got
end
local function unpark(kind)
  local lane = string.sub(kind, 1, 1)
  if room[lane] <= 0 then return end
  local members = call('ZRANGEBYLEX', kinds, '[' .. kind .. '/', '(' .. kind .. '0', 'LIMIT', '0', num(room[lane]))
  local found = {}
  for i, member in ipairs(members) do found[i] = string.sub(member, #kind + 2) end
  local n = take(lane, found)
  if n > 0 then
    call('ZREM', parked, unpack(found, 1, n))
    call('ZREM', kinds, unpack(members, 1, n))
  end
end
-- First parked jobs of kinds this engine knows, then one suspect, then by rank.
local function claim()
  if size.parked > 0 then
    for i = 1, known do unpark(ARGV[fixed + i]) end
  end
  for _, lane in ipairs(lanes) do
    if suspects > 0 and room[lane] <= 0 then
      more[lane] = call('ZCARD', suspect[lane]) > 0
    elseif suspects > 0 and call('ZCARD', suspect[lane]) > 0 then
      local found = call('ZRANGE', suspect[lane], '0', '0')
      if take(lane, found) > 0 then
        suspects = 0
        call('ZREM', suspect[lane], found[1])
        more[lane] = call('ZCARD', suspect[lane]) > 0
      end
    end
    local left = call('ZCARD', ready[lane]) - 1
    if room[lane] > 0 and left > 0 then
      local n = take(lane, call('ZRANGE', ready[lane], '0', num(math.min(room[lane], left) - 1)))
      if n > 0 then call('ZREMRANGEBYRANK', ready[lane], '0', num(n - 1)) end
      left = left - n
    end
    more[lane] = more[lane] or left > 0
  end
  for from = 1, #claims, 500 do call('ZADD', active, unpack(claims, from, math.min(from + 499, #claims))) end
end
-- The answer, and what is left for others.
local function report(answer)
  tally.lost = #lost + refused
  for name, n in pairs(tally) do
    if n > 0 then call('HINCRBY', meta, name, num(n)) end
  end
  local fence = 0
  if #ids > 0 then
    fence = math.max(tonumber(call('HGET', meta, 'fence') or '0') + 1, micros)
    call('HSET', meta, 'fence', num(fence + #ids - 1))
  end
  call('HSET', calls, engine, num(number) .. ' ' .. answer)
  local reply = { 'ok', num(now), kept, answer, num(fence) }
  for i, lane in ipairs(lanes) do
    local head = call('ZRANGE', due[lane], '0', '0', 'WITHSCORES')[2]
    local waits = tonumber(head)
    if waits and waits <= now then more[lane] = true end
    if more[lane] then mark(wake[lane]) end
    reply[5 + i] = more[lane] and '1' or '0'
    reply[7 + i] = waits and waits < 9007199254740992 and num(waits) or ''
  end
  reply[10] = errands() .. (call('ZCARD', parked) > 0 and 'k' or '')
  if #ids == 0 and verdicts == 0 then
    -- Who came for work and found none looks for what nobody goes on with.
    local begun = #call('ZRANGEBYSCORE', waiting, '0', '0', 'LIMIT', '0', '1') + #call('ZRANGEBYSCORE', callbacks, '0', '0', 'LIMIT', '0', '1')
    if begun > 0 then reply[10] = reply[10] .. 'r' end
  end
  local past = pasts > 0 and #ids > 0 and call('HMGET', history, unpack(ids)) or {}
  for i = 1, #ids do
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = ids[i], records[i], past[i] or ''
  end
  return reply
end
