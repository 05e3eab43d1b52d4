-- advance: finish what an engine has done, then claim as many jobs as it has room for.
-- keys:    engines calls jobs history checkpoints active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched quarantine faults wake:thread wake:reactor meta edges waiting adopting callbacks outbox outgoing
-- args:    engine ('number:uuid'), number of the call, token of what it claims, room in the thread lane, in the reactor
--          lane, '1' if a suspect may be claimed, bytes of records to claim, ms an expired outcome is kept,
--          verdicts refused to its former registration, number of kinds ('lane/task') to claim from the parked, number
--          of verdicts, how many of these are plain, then the kinds, the ids, their tokens, and for each verdict that is not plain its word and fields:
--            keep  outcome, ms to keep it          the job has ended and leaves an outcome
--            retry head, ms to wait, history, outcome if its deadline is before that ('' history: unchanged)
--            back  head or ''                      given back unbegun or in order: uncounted
--            park  head, task                      nobody here knows the task
--            break why                             the record cannot be decoded
--            left                                  the handler of a cancelled job has returned
--          A plain verdict is a success that leaves nothing. head: the first 14 bytes of the record.
-- returns: {'ok', now_ms, number kept before, lost, fence of the first claim, more:thread, more:reactor, due:thread,
--          due:reactor, errands, then id, record, history of each claim} | {'again', now_ms, lost} | {'stale', now_ms} | {'gone', now_ms};
--          lost: places of the verdicts whose run is no longer the owner; more: '1' if claimable work is left;
--          due: ms of the next due job or ''; errands: see kin.lua,
--          and 'k' if jobs are parked
-- moves:   active -> done or nothing | due | ready | suspect | parked | quarantine; due -> ready | suspect;
--          pending -> done (deadline); parked, suspect, ready -> active; leaving -> nothing
-- repeat:  safe: the number was applied before, so nothing changes; the engine then adopts what bears its token
-- bound:   500 verdicts, 100 deadlines, 500 promotions a lane, 500 claims; records by bytes
-- with:    clock record moment rank sentinel wake fetch isolate withdraw overdue ending roll kin settle verdict pending claim
local engines, calls = KEYS[1], KEYS[2]
local jobs, history, checkpoints, active, leaving = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local ready, due = { t = KEYS[8], r = KEYS[9] }, { t = KEYS[10], r = KEYS[11] }
local suspect, parked, kinds = { t = KEYS[12], r = KEYS[13] }, KEYS[14], KEYS[15]
local deadlines, outcomes, done, watched = KEYS[16], KEYS[17], KEYS[18], KEYS[19]
local quarantine, faults, wake, meta = KEYS[20], KEYS[21], { t = KEYS[22], r = KEYS[23] }, KEYS[24]
local edges, waiting, adopting, callbacks, outbox, outgoing = KEYS[25], KEYS[26], KEYS[27], KEYS[28], KEYS[29], KEYS[30]
local engine, number, token = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local room = { t = tonumber(ARGV[4]), r = tonumber(ARGV[5]) }
local suspects, bytes, keep_expired = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local refused, known, verdicts, plain = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local fixed, first = 12, 13 + known

local reply = present()
if reply then return reply end
inspect()
-- A removing write comes first: finishing and claiming must work when memory is full.
call('ZREM', active, '')
heave()
weigh()
apply()
expire()
close()
promote('t')
promote('r')
claim()
close()
return report(table.concat(lost, ' '))
