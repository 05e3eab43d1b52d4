-- record: the text header of a job's record (docs/wire.md).
--   1 format '1'   2 lane 't' or 'r'   3 interruptions allowed '0'-'9', 'f' for ever   4 'a' answer wanted
--   5 'o' own id   6 'd' deadline   7 'g' or 'G' a graph, 'i' or 'G' inputs   8-11 priority + 1000   12-14 length of the task's name
--   15-30 digest of task and arguments, only with 'o'; then the task's name
local function sound(record)
  return record and string.find(record, '^1[tr][%df]....%d%d%d%d%d%d%d') ~= nil
end
-- A flow has a graph before its arguments.
local function compound(record)
  local mark = string.sub(record, 7, 7)
  return mark == 'g' or mark == 'G'
end
local function digest(record)
  return string.sub(record, 5, 5) == 'o' and string.sub(record, 15, 30) or ''
end
local function task(record)
  local at = string.sub(record, 5, 5) == 'o' and 31 or 15
  return string.sub(record, at, at - 1 + tonumber(string.sub(record, 12, 14)))
end
-- A counter that is no number fails the call here, before anything has changed, and not half-way.
local function counters(meta, ...)
  for i, n in ipairs(call('HMGET', meta, ...)) do
    if n and not string.find(n, '^%-?%d+$') then error('the counter ' .. select(i, ...) .. ' in meta is no number') end
  end
end
-- A past begins with two numbers, of failed and of interrupted attempts.
local function dated(past)
  return past and string.find(past, '^%d%d%d%d%d%d%d%d%d%d') ~= nil
end
