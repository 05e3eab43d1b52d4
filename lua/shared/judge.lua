-- judge: may a transaction take effect? Does every read still answer as remembered, can every write succeed, can every
-- job be put? Only then is anything written. A transaction stands in the arguments as: number of reads, checks, writes,
-- puts and outgoing jobs, then for each
--   read    order ('' | 'set' | 'pairs'), what it answered (see answer.lua), number of arguments, the command
--   check   kind, number of arguments, the arguments:
--             type key type | int key by | hint key field by | float key by | hfloat key field by | lset key index
--   write   number of arguments, the command
--   put     id, record, due, deadline (see accept.lua)
--   out     its id, where to, due, deadline, id, record
-- Its keys are declared behind the script's own.
-- needs: jobs, outcomes, done, meta, outbox, outgoing
local limit = { high = 9223, low = 372036854775807 }
-- With a point a number is no integer to any Lua: those with integers would wrap around.
local function double(text) return tonumber(string.find(text, '.', 1, true) and text or text .. '.') end
-- Do two decimal numbers of 64 bits have a sum of 64 bits? Doubles tell, but near the limit.
local function fits(a, b)
  local sum = double(a) + double(b)
  if math.abs(sum) < 9.2e18 then return true end
  if math.abs(sum) > 9.3e18 then return false end
  local function halves(text)
    local minus, digits = string.match(text, '^(%-?)(%d+)$')
    local low, high = double(string.sub(digits, -15)), double('0' .. string.sub(digits, 1, -16))
    if minus == '-' then return -high, -low end
    return high, low
  end
  local high, low = halves(a)
  local more, rest = halves(b)
  high, low = high + more, low + rest
  local sign = high < 0 and -1 or 1
  high, low = high * sign, low * sign
  if low >= 1e15 then high, low = high + 1, low - 1e15 end
  if low < 0 then high, low = high - 1, low + 1e15 end
  return high < limit.high or (high == limit.high and low <= limit.low + (sign < 0 and 1 or 0))
end
local function integer(text)
  return (text == '0' or string.find(text, '^%-?[1-9]%d*$')) and #text <= 20 and fits(text, '0')
end
-- A decimal number, or nothing: what is too long or too small for Redis to read is none.
local function real(text)
  if #text > 1000 then return end
  local mantissa, exponent = string.match(text, '^([+-]?%d*%.?%d*)[eE]([+-]?%d+)$')
  mantissa = mantissa or string.match(text, '^[+-]?%d*%.?%d*$')
  local n = mantissa and string.find(mantissa, '%d') and double(mantissa)
  if not n or not exponent or n == 0 then return n end
  n = n * 10 ^ double(exponent)
  if n ~= 0 then return n end
end
local function summable(text, by)
  local n = real(text)
  return n and math.abs(n + double(by)) < 1e308
end
local function typed(key, wanted)
  local kind = call('TYPE', key).ok
  return kind == wanted or kind == 'none'
end
local asks = {
  type = typed,
  int = function(key, by)
    if not typed(key, 'string') then return false end
    local text = call('GET', key) or '0'
    return integer(text) and fits(text, by)
  end,
  hint = function(key, field, by)
    if not typed(key, 'hash') then return false end
    local text = call('HGET', key, field) or '0'
    return integer(text) and fits(text, by)
  end,
  float = function(key, by) return typed(key, 'string') and summable(call('GET', key) or '0', by) end,
  hfloat = function(key, field, by) return typed(key, 'hash') and summable(call('HGET', key, field) or '0', by) end,
  lset = function(key, index)
    if not typed(key, 'list') then return false end
    local size, place = call('LLEN', key), tonumber(index)
    return place < size and place >= -size
  end,
}
local function noted(id) return call('HEXISTS', jobs, id) == 1 or call('HEXISTS', outcomes, id) == 1 end
-- perform asks, and writes if nothing speaks against it. It returns the place behind the transaction, and, where
-- something does, a word and which one: 'conflict' a read, 'refused' a check, 'taken' a put,
-- 'unknown' a put that follows a job nothing is stored of, or a flow that waits for
-- nothing more, 'broken' a write that failed
-- all the same, after others had their effect, with the reason. Where a word is given it is passed over.
local function perform(at, word)
  local reads, checks, writes, puts, outs = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  at = at + 5
  for i = 1, reads do
    local n = tonumber(ARGV[at + 2])
    if not word and shape(redis.pcall(unpack(ARGV, at + 3, at + 2 + n)), ARGV[at]) ~= ARGV[at + 1] then word = 'conflict ' .. i end
    at = at + 3 + n
  end
  for i = 1, checks do
    local n = tonumber(ARGV[at + 1])
    if not word and not asks[ARGV[at]](unpack(ARGV, at + 2, at + 1 + n)) then word = 'refused ' .. i end
    at = at + 2 + n
  end
  local from = at
  for _ = 1, writes do at = at + 1 + tonumber(ARGV[at]) end
  local new = {}
  for i = 1, puts do
    local id, record, when = ARGV[at + 4 * i - 4], ARGV[at + 4 * i - 3], ARGV[at + 4 * i - 2]
    if not word and digest(record) ~= '' and noted(id) and not same(id, record) then word = 'taken ' .. i end
    local mark = string.sub(when, 1, 1)
    if not word and (mark == '>' or mark == '&') then
      local other = string.match(when, '^[^,]*,[^,]*,(.*)$')
      if not new[other] and not (mark == '>' and noted(other) or mark == '&' and kin().awaits(other)) then word = 'unknown ' .. i end
    end
    new[id] = true
  end
  if word then return at + 4 * puts + 6 * outs, word end
  for i = 1, writes do
    local n = tonumber(ARGV[from])
    local reply = redis.pcall(unpack(ARGV, from + 1, from + n))
    if type(reply) == 'table' and reply.err then
      return at + 4 * puts + 6 * outs, 'broken ' .. i .. ' ' .. string.gsub(reply.err, '[,|%c]', ' ')
    end
    from = from + 1 + n
  end
  if puts > 0 then
    local place = order(meta, puts)
    for i = 1, puts do one(at + 4 * i - 4, place + i) end
  end
  at = at + 4 * puts
  for _ = 1, outs do
    -- Its times count from now, not from when it arrives.
    local when, limit = ARGV[at + 2], ARGV[at + 3]
    if not string.find(when, '^[>&]') then
      local start = when ~= '' and math.max(now, moment(when, now)) or now
      if when ~= '' then when = '@' .. num(start) end
      if limit ~= '' then limit = '@' .. num(moment(limit, start)) end
    end
    call('HSET', outbox, ARGV[at], ARGV[at + 1] .. ' ' .. when .. ' ' .. limit .. ' ' .. ARGV[at + 4] .. ' ' .. ARGV[at + 5])
    call('ZADD', outgoing, num(now), ARGV[at])
    at = at + 6
  end
  return at
end
