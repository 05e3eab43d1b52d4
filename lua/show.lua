-- show: all that is known of one job.
-- keys:    jobs history outcomes done active ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked quarantine faults workers waiting adopting callbacks
-- args:    id
-- returns: {'ok', now_ms, set or '' if the id is unknown, score, record, history, outcome, fault, what the engine that holds it says of itself}
-- moves:   nothing
-- repeat:  safe: a question
-- bound:   constant
-- with:    clock
local jobs, history, outcomes, done, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local pending = { ['ready:thread'] = KEYS[6], ['ready:reactor'] = KEYS[7], ['due:thread'] = KEYS[8], ['due:reactor'] = KEYS[9],
  ['suspect:thread'] = KEYS[10], ['suspect:reactor'] = KEYS[11], parked = KEYS[12] }
local quarantine, faults, workers = KEYS[13], KEYS[14], KEYS[15]
local waiting, adopting, callbacks = KEYS[16], KEYS[17], KEYS[18]
local id = ARGV[1]

local function reply(set, score, fault, worker)
  return { 'ok', num(now), set, score, call('HGET', jobs, id) or '', call('HGET', history, id) or '',
    call('HGET', outcomes, id) or '', fault or '', worker or '' }
end
local score = call('ZSCORE', active, id)
if score then
  local engine = num(math.floor(tonumber(score) / 16777216))
  return reply('active', num(tonumber(score)), '', call('HGET', workers, engine))
end
for name, set in pairs(pending) do
  score = call('ZSCORE', set, id)
  if score then return reply(name, num(tonumber(score))) end
end
score = call('ZSCORE', done, id)
if score then return reply('done', num(tonumber(score))) end
for name, set in pairs({ waiting = waiting, adopting = adopting, callbacks = callbacks }) do
  score = call('ZSCORE', set, id)
  if score then return reply(name, num(tonumber(score))) end
end
score = call('ZSCORE', quarantine, id)
if score then return reply('quarantine', num(tonumber(score)), call('HGET', faults, id)) end
return reply('', '0')
