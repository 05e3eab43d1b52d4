-- owned: which jobs does an engine hold?
-- keys:    engines active
-- args:    engine ('number:uuid'), its token range from, to, how many to pass over
-- returns: {'ok', now_ms, then id, token of each} | {'gone', now_ms}
-- moves:   nothing
-- repeat:  safe: a question
-- bound:   500 jobs
-- with:    clock
local engines, active = KEYS[1], KEYS[2]
local engine, from, to, skip = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if not call('ZSCORE', engines, engine) then return { 'gone', num(now) } end
local reply = { 'ok', num(now) }
local held = call('ZRANGEBYSCORE', active, from, '(' .. to, 'WITHSCORES', 'LIMIT', skip, '500')
for i = 1, #held do reply[#reply + 1] = held[i] end
return reply
