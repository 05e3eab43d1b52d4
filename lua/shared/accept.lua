-- accept: jobs that must be looked at become pending: due later, with a deadline, with an id of the user's, put before, a
-- flow, or one that follows another. An id that bears the same contents, stored or ended, is left alone; one that bears
-- others is refused. A job is four arguments: id, record, due, deadline.
--   due: '' now | '+ms' from now | '@ms' at | '>', condition, class (see edges.lua), where to run or '-', ',', due from the
--        end of its parent or '-', ',', the parent's id | '&' and the same: a new part of a flow, which is its follower
--   deadline: '' none | '+ms' after the due time | '@ms' at
-- needs: jobs, outcomes, ready, due, deadlines, wake, waiting
local adds = { ready = { t = {}, r = {} }, due = { t = {}, r = {} } }
local late = {}
-- after takes in a job that follows another one.
local function after(id, record, when, limit)
  if call('HEXISTS', outcomes, id) == 1 or call('HEXISTS', jobs, id) == 1 then return same(id, record) end
  local first = string.find(when, ',', 4, true)
  local second = string.find(when, ',', first + 1, true)
  local parent = string.sub(when, second + 1)
  if call('HEXISTS', jobs, parent) == 0 and call('HEXISTS', outcomes, parent) == 0 then return nil end
  local k = kin()
  call('HSET', jobs, id, record)
  call('ZADD', waiting, num(now), id)
  k.await(id)
  local n = k.fresh()
  n.parents, n.left, n.to, n.due = 1, 1, string.sub(when, 4, first - 1), string.sub(when, first + 1, second - 1)
  if limit ~= '' then n.deadline = limit end
  k.change(id, n)
  return k.connect(parent, id, string.sub(when, 2, 2), string.sub(when, 3, 3), '1')
end
-- further takes in one more part of a flow that still waits for others.
local function further(id, record, when, limit)
  if call('HEXISTS', outcomes, id) == 1 or call('HEXISTS', jobs, id) == 1 then return same(id, record) end
  local first = string.find(when, ',', 4, true)
  local second = string.find(when, ',', first + 1, true)
  local flow, k = string.sub(when, second + 1), kin()
  if not k.awaits(flow) then return nil end
  local root, n = k.whole(flow), k.fresh()
  root.parents, root.left = root.parents + 1, root.left + 1
  k.change(flow, root)
  call('HSET', jobs, id, record)
  n.to, n.due, n.deadline = string.sub(when, 4, first - 1), string.sub(when, first + 1, second - 1), limit ~= '' and limit or '-'
  k.change(id, n)
  k.connect(id, flow, string.sub(when, 2, 2), string.sub(when, 3, 3), num(root.parents))
  k.release(id, n)
  return true
end
-- one takes the job at a place of the arguments in. It returns whether the job is stored now, or was before; nothing if
-- it follows a job that is not known, or belongs to a flow that waits for nothing more.
local function one(at, order)
  local id, record, when, limit = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local mark = string.sub(when, 1, 1)
  if mark == '>' then return after(id, record, when, limit) end
  if mark == '&' then return further(id, record, when, limit) end
  if call('HEXISTS', outcomes, id) == 1 or call('HSETNX', jobs, id, record) == 0 then return same(id, record) end
  local lane = string.sub(record, 2, 2)
  local start, z = now, adds.ready[lane]
  if when ~= '' then start = math.max(now, moment(when, now)) end
  if start <= now and compound(record) then
    if kin().begin(id, record) > 0 then return true end
  elseif start > now then
    z = adds.due[lane]
    z[#z + 1], z[#z + 2] = num(start), id
  else
    z[#z + 1], z[#z + 2] = rank(record, order), id
  end
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
