-- deliver: take in what another queue's outbox has for this one, each once.
-- keys:    inbox jobs outcomes done ready:thread ready:reactor due:thread due:reactor deadlines wake:thread wake:reactor meta
-- args:    number of jobs, their ids in the outbox, then for each job: id, record, due, deadline (see accept.lua)
-- returns: {'ok', now_ms, refused}; refused: places of the jobs whose id bears other contents, with blanks between; a
--          repeat no longer names them
-- moves:   new -> ready | due
-- repeat:  safe: inbox remembers for a day what has arrived
-- bound:   100 jobs
-- with:    clock record rank sentinel wake accept
local inbox, jobs, outcomes, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ready, due = { t = KEYS[5], r = KEYS[6] }, { t = KEYS[7], r = KEYS[8] }
local deadlines, wake, meta = KEYS[9], { t = KEYS[10], r = KEYS[11] }, KEYS[12]
local count = tonumber(ARGV[1])

call('ZCARD', inbox); call('HLEN', jobs); call('HLEN', outcomes); call('ZCARD', done); call('ZCARD', deadlines)
for _, lane in ipairs({ 't', 'r' }) do
  call('ZCARD', ready[lane]); call('ZCARD', due[lane]); call('LLEN', wake[lane])
end
-- An adding write comes first, so that full memory refuses the call as a whole.
local place = order(meta, count)
local refused = {}
for i = 1, count do
  if call('ZADD', inbox, 'NX', num(now), ARGV[1 + i]) == 1 and not one(count + 4 * i - 2, place + i) then
    refused[#refused + 1] = num(i)
  end
end
file({})
return { 'ok', num(now), table.concat(refused, ' ') }
