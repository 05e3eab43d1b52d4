-- pull: take back a job that has not begun. It leaves no trace and may be put again.
-- keys:    lines lastcalls jobs history checkpoints ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines watched outcomes waiting edges
-- args:    line, number of the call, id
-- returns: {'ok' | 'again', now_ms, word} | {'stale', now_ms}; word: 'done' | 'begun' | 'ended' | 'unknown' |
--          'joined': it follows others, or is followed
-- moves:   ready | due | suspect | parked -> nothing
-- repeat:  safe: the number was applied before, the kept word comes back
-- bound:   constant
-- with:    clock record line withdraw
local lines, lastcalls, jobs, history, checkpoints = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ready, due, suspect = { t = KEYS[6], r = KEYS[7] }, { t = KEYS[8], r = KEYS[9] }, { t = KEYS[10], r = KEYS[11] }
local parked, kinds, deadlines, watched, outcomes, waiting, edges = KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local line, number, id = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local reply, last = heard(lines, line, number)
if reply then return reply end
call('HLEN', history); call('HLEN', checkpoints); call('ZCARD', kinds); call('ZCARD', deadlines); call('HLEN', watched); call('ZCARD', lastcalls)
local record = call('HGET', jobs, id)
local word = call('HEXISTS', outcomes, id) == 1 and 'ended' or 'unknown'
-- A removing write comes first: taking back must work when memory is full.
call('ZREM', parked, '')
if record and call('HEXISTS', edges, id) == 1 then
  word = 'joined'
elseif record then
  word = 'begun'
  if withdraw(id, record) then
    word = 'done'
    call('HDEL', jobs, id)
    call('HDEL', history, id)
    call('HDEL', checkpoints, id)
    call('ZREM', deadlines, id)
    -- Who waits is told to look again, and learns that the id is unknown.
    local listeners = call('HGET', watched, id)
    if listeners then
      call('HDEL', watched, id)
      for channel in string.gmatch(listeners, '%S+') do call('PUBLISH', channel, '-' .. id) end
    end
  end
end
note(lines, lastcalls, line, number, last, word)
return { 'ok', num(now), word }
