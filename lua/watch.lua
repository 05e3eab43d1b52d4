-- watch: has it ended? If not, tell this channel when it does. The caller has subscribed before it asks.
-- keys:    jobs outcomes watched
-- args:    channel, bytes of outcomes to return, then ids
-- returns: {'ok', now_ms, then a word for each id: 'done', outcome | 'wait', '' | 'unknown', '' | 'later', ''};
--          'later': the bytes are used up, ask again
-- moves:   nothing
-- repeat:  safe: the channel is noted once
-- bound:   500 ids, the bytes
-- with:    clock
local jobs, outcomes, watched = KEYS[1], KEYS[2], KEYS[3]
local channel, bytes = ARGV[1], tonumber(ARGV[2])

call('HLEN', watched)
call('HDEL', watched, '')
local reply = { 'ok', num(now) }
for i = 3, #ARGV do
  local id = ARGV[i]
  local word, outcome = 'unknown', ''
  local ended = bytes > 0 and call('HGET', outcomes, id)
  if ended then
    word, outcome = 'done', ended
    bytes = bytes - #outcome
  elseif bytes <= 0 and call('HEXISTS', outcomes, id) == 1 then
    word = 'later'
  elseif call('HEXISTS', jobs, id) == 1 then
    word = 'wait'
    local old = call('HGET', watched, id) or ''
    if not string.find(' ' .. old .. ' ', ' ' .. channel .. ' ', 1, true) then
      call('HSET', watched, id, old == '' and channel or old .. ' ' .. channel)
    end
  end
  reply[#reply + 1], reply[#reply + 2] = word, outcome
end
return reply
