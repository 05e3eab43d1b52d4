-- line: is this call of a client's line new? heard returns nothing if so, and the time of the line; else the reply
-- to give. A line's time, here and in lastcalls, is that of its last call or up to ten minutes before it: most calls
-- write one key only.
local keep_time = 600000
local function heard(lines, line, number)
  local kept = call('HGET', lines, line)
  if not kept then return nil, 0 end
  local last, ms, answer = string.match(kept, '^(%d+) (%d+) (.*)$')
  if tonumber(last) == number then return { 'again', num(now), answer } end
  if tonumber(last) > number then return { 'stale', num(now) } end
  return nil, tonumber(ms)
end
local function note(lines, lastcalls, line, number, ms, answer)
  if now - ms > keep_time then
    ms = now
    call('ZADD', lastcalls, num(ms), line)
  end
  call('HSET', lines, line, num(number) .. ' ' .. num(ms) .. ' ' .. answer)
  return ms
end
