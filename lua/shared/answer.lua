-- answer: what a read answers, as a text that two calls can compare: by how it begins it is text '$', number ':',
-- nothing '-', error '!', list '*'. From 64 bytes on its digest stands for it. Lists whose order means nothing ('set';
-- 'pairs', of a field and its value) are put in order first.
local flat
local function list(reply, order)
  local parts = {}
  local step = order == 'pairs' and 2 or 1
  for i = 1, #reply, step do
    local text = flat(reply[i])
    text = #text .. '.' .. text
    if step == 2 then
      local value = flat(reply[i + 1])
      text = text .. #value .. '.' .. value
    end
    parts[#parts + 1] = text
  end
  if order ~= '' then table.sort(parts) end
  return '*' .. table.concat(parts)
end
flat = function(reply)
  local kind = type(reply)
  if kind == 'string' then return '$' .. reply end
  if kind == 'number' then return ':' .. num(reply) end
  if kind ~= 'table' then return '-' end
  if reply.err then return '!' .. reply.err end
  if reply.ok then return '$' .. reply.ok end
  return list(reply, '')
end
local function shape(reply, order)
  local text = order ~= '' and type(reply) == 'table' and not reply.err and list(reply, order) or flat(reply)
  if #text >= 64 then return '#' .. redis.sha1hex(text) end
  return text
end
