-- inputs: the edges that come in at a job, with the outcomes of those that have ended.
-- keys:    edges outcomes
-- args:    id, the first step (a list, a heap or a place at a time, in this order), bytes to return
-- returns: {'ok', now_ms, where to (see edges.lua) or '' if it follows nobody, edges that come in, of these not arrived, not
--          successes, '1' while its graph is being taken apart, the step to ask for next or '', queue, ',' and id of
--          the job that answers for it or '' (no queue: this one), then by twos what stands
--          under '[' (a list), '=' (a heap), and the places of single edges, each of these with a third, the outcome of
--          the parent if it is held}
-- moves:   nothing
-- repeat:  safe: a question
-- bound:   500 steps, the bytes
-- with:    clock kin/edges
local edges, outcomes = KEYS[1], KEYS[2]
local id, from, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local n = node(id)
if not n or n.only then return { 'ok', num(now), '', '0', '0', '0', '0', '', '' } end
local reply = { 'ok', num(now), n.to, num(n.parents), num(n.left), num(n.bad), n.at > 0 and '1' or '0', '', '' }
local answerer = look(id .. '/<' .. num(n.parents))
if answerer and string.sub(answerer, 1, 2) == '-a' then
  local _, _, _, parent = edge(string.sub(answerer, 2))
  reply[9] = ',' .. parent
elseif string.sub(n.due, 1, 1) == '~' then
  reply[9] = string.sub(n.due, 2)
elseif sent(n) then
  reply[9] = n.to .. ',' .. id
end
-- If all have arrived the lists say nothing that the heaps do not.
if n.left == 0 then from = math.max(from, n.lists + 1) end
local past = n.lists + n.heaps
local last = past + (n.loose > 0 and n.parents or 0)
local to, fields = math.min(last, from + 499), {}
for step = from, to do
  local mark, place = '/<', step - past
  if step <= n.lists then mark, place = '/[', step elseif step <= past then mark, place = '/=', step - n.lists end
  fields[#fields + 1] = id .. mark .. num(place)
end
ahead(fields)
for i, field in ipairs(fields) do
  local text, outcome = look(field), nil
  if text then
    if from + i - 1 > past then
      outcome = ''
      if string.sub(text, 1, 1) == '+' then
        local _, _, _, parent = edge(string.sub(text, 2))
        outcome = call('HGET', outcomes, parent) or ''
      end
    end
    local size = #text + #(outcome or '')
    if bytes < size and #reply > 9 then
      reply[8] = num(from + i - 1)
      return reply
    end
    bytes = bytes - size
    reply[#reply + 1] = outcome and num(from + i - 1 - past) or string.sub(field, #id + 2, #id + 2)
    reply[#reply + 1] = text
    if outcome then reply[#reply + 1] = outcome end
  end
end
if to < last then reply[8] = num(to + 1) end
return reply
