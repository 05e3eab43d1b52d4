-- accept: jobs that must be looked at become pending: due later, with a deadline, with an id of the user's, or put
-- before. An id that bears the same contents, stored or ended, is left alone; one that bears others is refused.
-- A job is four arguments: id, record, due, deadline. due: '' now | '+ms' from now | '@ms' at. deadline: '' none |
-- '+ms' after the due time | '@ms' at.
-- needs: jobs, outcomes, done, ready, due, deadlines, wake
local function same(id, record)
  local old = call('HGET', jobs, id)
  -- An id that Spool has drawn bears no digest: whoever has it has the same Partial, though the job was edited since.
  if old then return digest(old) == digest(record) end
  local outcome = call('HGET', outcomes, id)
  local own = outcome and string.sub(outcome, 3, 3) == 'o' and string.sub(outcome, 30, 45) or ''
  return own == digest(record)
end
local function moment(text, base)
  local ms = tonumber(string.sub(text, 2))
  return string.sub(text, 1, 1) == '+' and base + ms or ms
end
local adds = { ready = { t = {}, r = {} }, due = { t = {}, r = {} } }
local late = {}
-- one takes the job at a place of the arguments in; it returns whether the job is stored now, or was before.
local function one(at, order)
  local id, record, when, limit = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if call('ZSCORE', done, id) or call('HSETNX', jobs, id, record) == 0 then return same(id, record) end
  local lane = string.sub(record, 2, 2)
  local start, z = now, adds.ready[lane]
  if when ~= '' then start = math.max(now, moment(when, now)) end
  if start > now then
    z = adds.due[lane]
    z[#z + 1] = num(start)
  else
    z[#z + 1] = rank(record, order)
  end
  z[#z + 1] = id
  if limit ~= '' then
    late[#late + 1] = num(moment(limit, start))
    late[#late + 1] = id
  end
  return true
end
local function add(set, z)
  for from = 1, #z, 500 do call('ZADD', set, unpack(z, from, math.min(from + 499, #z))) end
end
-- file puts what was taken in into its sets. marked: lanes that have a marker, or need none from here.
local function file(marked)
  add(deadlines, late)
  for _, lane in ipairs({ 't', 'r' }) do
    if #adds.ready[lane] > 0 then
      grow(ready[lane], call('ZCARD', ready[lane]))
      add(ready[lane], adds.ready[lane])
      if not marked[lane] then mark(wake[lane]) end
    end
    if #adds.due[lane] > 0 then
      grow(due[lane], call('ZCARD', due[lane]))
      local head = call('ZRANGE', due[lane], '0', '0')[1]
      add(due[lane], adds.due[lane])
      if call('ZRANGE', due[lane], '0', '0')[1] ~= head then mark(wake[lane]) end
    end
  end
end
