-- count: how many jobs are in each state, and what has happened so far.
-- keys:    ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked active done quarantine engines waiting adopting callbacks meta
-- args:    none
-- returns: {'ok', now_ms, then the sizes of the first fourteen keys, sentinels included, then names and numbers of meta}
-- moves:   nothing
-- repeat:  safe: a question
-- bound:   constant
-- with:    clock
local ready, due, suspect = { KEYS[1], KEYS[2] }, { KEYS[3], KEYS[4] }, { KEYS[5], KEYS[6] }
local parked, active, done, quarantine, engines = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local waiting, adopting, callbacks, meta = KEYS[12], KEYS[13], KEYS[14], KEYS[15]

local reply = { 'ok', num(now) }
for _, set in ipairs({ ready[1], ready[2], due[1], due[2], suspect[1], suspect[2], parked, active, done, quarantine, engines,
  waiting, adopting, callbacks }) do
  reply[#reply + 1] = num(call('ZCARD', set))
end
for _, word in ipairs(call('HGETALL', meta)) do reply[#reply + 1] = word end
return reply
