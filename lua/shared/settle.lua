-- settle: the end of jobs. Their records go, outcomes that are wanted stay for their time, who waits is told.
-- An outcome begins with a text header (docs/wire.md):
--   1 format '1'   2 kind 's' 'f' 'c' 'e' 'a'   3 'o' own id   4-9 attempts   10-13 interruptions   14-26 end in ms
--   27-29 length of the task's name   30-45 digest, only with 'o'; then the task's name, then msgpack
-- needs: jobs, history, checkpoints, deadlines, outcomes, done, watched
local watchers_keep = 60000
local function ending(kind, record, past)
  local own = digest(record)
  return '1' .. kind .. (own ~= '' and 'o' or '-') .. (dated(past) and string.sub(past, 1, 10) or '0000000000')
    .. '0000000000000' .. string.sub(record, 12, 14) .. own .. task(record)
end
-- A plain success leaves nothing.
local silent = '1s-0000010000' .. '0000000000000' .. '000'
local function part(ids, endings, keeps, from, to)
  if call('HLEN', history) > 0 then call('HDEL', history, unpack(ids, from, to)) end
  if call('HLEN', checkpoints) > 0 then call('HDEL', checkpoints, unpack(ids, from, to)) end
  if call('ZCARD', deadlines) > 0 then call('ZREM', deadlines, unpack(ids, from, to)) end
  local channels = call('HLEN', watched) > 0 and call('HMGET', watched, unpack(ids, from, to))
  local at, fields, clock, told = string.format('%013.0f', now), {}, {}, {}
  for i = from, to do
    local id, keep = ids[i], keeps[i]
    local listeners = channels and channels[i - from + 1]
    if listeners then
      keep = math.max(keep, watchers_keep)
      told[#told + 1] = id
      -- Somebody waits: it leaves an outcome after all, which names its task and, with an own id, its contents.
      local record = endings[i] == silent and call('HGET', jobs, id)
      if sound(record) then endings[i] = ending('s', record, '0000010000') end
      for channel in string.gmatch(listeners, '%S+') do
        call('PUBLISH', channel, string.sub(endings[i], 2, 2) .. id)
      end
    end
    if keep > 0 then
      fields[#fields + 1], clock[#clock + 1] = id, num(now + keep)
      fields[#fields + 1], clock[#clock + 1] = string.sub(endings[i], 1, 13) .. at .. string.sub(endings[i], 27), id
    end
  end
  if #fields > 0 then
    call('HSET', outcomes, unpack(fields))
    call('ZADD', done, unpack(clock))
  end
  call('HDEL', jobs, unpack(ids, from, to))
  if #told > 0 then call('HDEL', watched, unpack(told)) end
end
local function settle(ids, endings, keeps)
  for from = 1, #ids, 250 do part(ids, endings, keeps, from, math.min(from + 249, #ids)) end
end
