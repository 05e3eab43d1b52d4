-- line: is this call of a client's line new? It returns nothing if so, else the reply to give.
local function heard(lines, line, number)
  local kept = call('HGET', lines, line)
  if not kept then return nil, 0 end
  local last, ms, answer = string.match(kept, '^(%d+) (%d+) (.*)$')
  if tonumber(last) == number then return { 'again', num(now), answer } end
  if tonumber(last) > number then return { 'stale', num(now) } end
  return nil, tonumber(ms)
end
local function note(lines, lastcalls, line, number, ms, answer)
  call('HSET', lines, line, num(number) .. ' ' .. num(now) .. ' ' .. answer)
  if now - ms > 600000 then call('ZADD', lastcalls, num(now), line) end
end
