-- inputs: the edges that come in at a job, with the outcomes of those that have ended.
-- keys:    edges outcomes
-- args:    id, place of the first edge, bytes of outcomes to return
-- returns: {'ok', now_ms, where to (see edges.lua) or '' if it follows nobody, edges that come in, of these not arrived, not
--          successes, '1' while its graph is being taken apart, place of the next one to ask for or '', then for each:
--          condition and class, id of the parent, '1' if it has arrived, its outcome}
-- moves:   nothing
-- repeat:  safe: a question
-- bound:   500 edges, the bytes
-- with:    clock kin/edges
local edges, outcomes = KEYS[1], KEYS[2]
local id, from, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local n = node(id)
if not n or n.only then return { 'ok', num(now), '', '0', '0', '0', '0', '' } end
local reply = { 'ok', num(now), n.to, num(n.parents), num(n.left), num(n.bad), n.at > 0 and '1' or '0', '' }
local to, fields = math.min(n.parents, from + 499), {}
for i = from, to do fields[#fields + 1] = id .. '/<' .. num(i) end
ahead(fields)
for i = from, to do
  local text = look(id .. '/<' .. num(i))
  if text then
    local mark, parent, outcome = string.sub(text, 1, 1), nil, ''
    if mark == '=' then
      local size = tonumber(string.sub(text, 4, 6))
      parent, outcome = string.sub(text, 7, 6 + size), string.sub(text, 7 + size)
    else
      local _, _, _, other = edge(string.sub(text, 2))
      parent = other
      if mark == '+' then outcome = call('HGET', outcomes, parent) or '' end
    end
    if bytes < #outcome and #reply > 8 then
      reply[8] = num(i)
      return reply
    end
    bytes = bytes - #outcome
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = string.sub(text, 2, 3), parent, mark == '-' and '0' or '1', outcome
  end
end
if to < n.parents then reply[8] = num(to + 1) end
return reply
