-- beat: an engine says that it lives, and sees to what others may have left lying.
-- keys:    engines dying active leaving outgoing inbox ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor kinds done lastcalls wake:thread wake:reactor deadlines waiting callbacks
-- args:    engine ('number:uuid'), its token range from, to, ms of silence after which it counts as dead,
--          ms until which it may declare others dead (its own beats were unbroken for that long), '0' if it may not:
--          later than that the clock has jumped, and everybody first has a chance to beat
-- returns: {'ok', now_ms, jobs it holds, '1' if something is to be tidied, '1' if a deadline has passed, '1' if the
--          outbox is not empty, '1' if something is to be resumed, number of dying, the dying, number of its jobs that
--          were cancelled and have handlers, these jobs, kinds of parked jobs} | {'gone', now_ms}
-- moves:   silent engines: engines -> dying. No job moves here; sweep does that
-- repeat:  safe: it sets a time and asks
-- bound:   10 engines declared dead, 10 dying named, 100 cancelled, 20 kinds
-- with:    clock wake
local engines, dying, active, leaving, outgoing, inbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ready, due, suspect = { KEYS[7], KEYS[8] }, { KEYS[9], KEYS[10] }, { KEYS[11], KEYS[12] }
local kinds, done, lastcalls, wake, deadlines = KEYS[13], KEYS[14], KEYS[15], { KEYS[16], KEYS[17] }, KEYS[18]
local waiting, callbacks = KEYS[19], KEYS[20]
local engine, from, to, patience, judge = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

if not call('ZSCORE', engines, engine) then return { 'gone', num(now) } end
call('ZCARD', dying); call('ZCARD', active); call('ZCARD', kinds); call('ZCARD', done); call('ZCARD', lastcalls)
call('ZCARD', leaving); call('ZCARD', outgoing); call('ZCARD', inbox)
local begun = #call('ZRANGEBYSCORE', waiting, '0', '0', 'LIMIT', '0', '1') + #call('ZRANGEBYSCORE', callbacks, '0', '0', 'LIMIT', '0', '1')
local late = #call('ZRANGEBYSCORE', deadlines, '-inf', '(' .. num(now), 'LIMIT', '0', '1')
local claimable, expected = {}, {}
for lane = 1, 2 do
  local head = call('ZRANGE', due[lane], '0', '0', 'WITHSCORES')
  claimable[lane] = call('ZCARD', ready[lane]) > 1 or call('ZCARD', suspect[lane]) > 0
    or (head[2] and tonumber(head[2]) and tonumber(head[2]) <= now)
  expected[lane] = head[2] and tonumber(head[2]) and tonumber(head[2]) < 9007199254740992
  call('LLEN', wake[lane])
end
-- A removing write comes first: beats go on when memory is full. XX: a beat never creates.
call('ZREM', engines, '')
call('ZADD', engines, 'XX', num(now + patience), engine)
if now <= judge then
  for _, silent in ipairs(call('ZRANGEBYSCORE', engines, '-inf', '(' .. num(now), 'LIMIT', '0', '10')) do
    call('ZREM', engines, silent)
    call('ZADD', dying, num(now), silent)
    -- It may have been the only one that knew when the next job is due.
    claimable = { claimable[1] or expected[1], claimable[2] or expected[2] }
  end
end
for lane = 1, 2 do
  if claimable[lane] then mark(wake[lane]) end
end

local overdue = #call('ZRANGEBYSCORE', done, '-inf', '(' .. num(now), 'LIMIT', '0', '1')
  + #call('ZRANGEBYSCORE', lastcalls, '-inf', '(' .. num(now - 86400000), 'LIMIT', '0', '1')
  + #call('ZRANGEBYSCORE', inbox, '-inf', '(' .. num(now - 86400000), 'LIMIT', '0', '1')
local dead = call('ZRANGE', dying, '0', '9')
local reply = { 'ok', num(now), num(call('ZCOUNT', active, from, '(' .. to)), overdue > 0 and '1' or '0', late > 0 and '1' or '0',
  call('ZCARD', outgoing) > 0 and '1' or '0', begun > 0 and '1' or '0', num(#dead) }
for _, name in ipairs(dead) do reply[#reply + 1] = name end
local cancelled = call('ZRANGEBYSCORE', leaving, from, '(' .. to, 'WITHSCORES', 'LIMIT', '0', '100')
reply[#reply + 1] = num(#cancelled / 2)
for _, name in ipairs(cancelled) do reply[#reply + 1] = name end
-- kinds holds lane/task/id in lexical order: one step past each kind found, 20 at most.
local after = '-'
for _ = 1, 20 do
  local found = call('ZRANGEBYLEX', kinds, after, '+', 'LIMIT', '0', '1')[1]
  if not found then break end
  local kind = string.match(found, '^(%a/[^/]*)/')
  if kind then reply[#reply + 1] = kind end
  after = kind and '[' .. kind .. '0' or '(' .. found
end
return reply
