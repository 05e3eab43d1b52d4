-- read: what a transaction reads, many reads of many transactions at once.
-- keys:    ...
-- args:    for each read: its order (see answer.lua), number of arguments, the command
-- returns: {'ok', places of the answers that are errors, with blanks between, then each answer and, of a list, what it
--          is remembered by (see answer.lua), else ''}
-- moves:   none
-- repeat:  safe: it asks
-- bound:   the reads of a call by number
-- with:    answer
local at = 1

local errors = {}
local reply = { 'ok', '' }
while at < #ARGV do
  local n = tonumber(ARGV[at + 1])
  local answer = redis.pcall(unpack(ARGV, at + 2, at + 1 + n))
  local kept = ''
  if type(answer) == 'table' then
    if answer.err then
      errors[#errors + 1] = num(#reply / 2)
      answer = answer.err
    elseif answer.ok then
      answer = answer.ok
    else
      kept = shape(answer, ARGV[at])
    end
  end
  reply[#reply + 1], reply[#reply + 2] = answer, kept
  at = at + 2 + n
end
reply[2] = table.concat(errors, ' ')
return reply
