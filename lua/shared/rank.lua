-- rank: where a job stands among those that are ready; it follows from its record's header.
-- A rank is priority, then order: 11 bits and 42 bits, together below 2^53.
local function rank(record, order)
  return num(tonumber(string.sub(record, 8, 11)) * 4398046511104 + order)
end
-- Orders of jobs that become ready count up from 2^41, orders of jobs that come back from 0: a job that was
-- claimed once stands before everything of its priority that was not. Both draw n orders; the first is one more than
-- what they return.
local function order(meta, n)
  return 2199023255552 + tonumber(call('HINCRBY', meta, 'order', num(n))) - n
end
local function front(meta, n)
  return tonumber(call('HINCRBY', meta, 'front', num(n))) - n
end
