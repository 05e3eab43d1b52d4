-- commit: what advance does, with transactions: the writes of a run take effect together with its verdict, or neither
-- does. Redis asks whether the run owns the job, whether every read still answers as remembered and whether every write
-- can succeed; ownership, validation and effect are one step.
-- keys:    engines calls jobs history checkpoints active leaving ready:thread ready:reactor due:thread due:reactor suspect:thread suspect:reactor parked kinds deadlines outcomes done watched quarantine faults wake:thread wake:reactor meta edges waiting adopting callbacks outbox outgoing ...
-- args:    those of advance up to the number of plain verdicts; '1' if the call adds nothing to Redis, which may then be
--          full; the place of the transactions; the rest of advance's; number of transactions, then for each the place of
--          its verdict, and the transaction (see judge.lua). One more word of a verdict:
--            point cursor or ''   the writes so far take effect and the run goes on
-- returns: as advance, but instead of lost: lost '|' transactions that took no effect, with commas between: place of the
--          verdict, word, which (see judge.lua). Their verdicts did not count, and their runs go on
-- moves:   as advance; new -> ready | due
-- repeat:  safe: the number was applied before, so nothing changes; the kept answer comes back
-- bound:   as advance; the transactions of a call by number and bytes
-- with:    clock record moment rank sentinel wake fetch isolate withdraw overdue ending roll kin same accept answer judge settle verdict pending claim
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
local lean, transactions = ARGV[13] == '1', tonumber(ARGV[14])
local fixed, first = 14, 15 + known

local reply = present()
if reply then return reply end
inspect()
-- Transactions that add are refused by full memory as a whole: an adding write comes first. The others begin with one
-- that removes.
if lean then call('ZREM', active, '') else call('HSET', calls, engine, num(number) .. ' |') end
heave()
weigh()
local failed = {}
local at = transactions + 1
for _ = 1, tonumber(ARGV[transactions]) do
  local i, word = tonumber(ARGV[at]), nil
  at, word = perform(at + 1, not owned[i] and 'lost' or nil)
  if word and owned[i] then
    failed[#failed + 1] = i .. ' ' .. word
    owned[i] = false
  end
end
file({ t = true, r = true })
apply()
expire()
close()
promote('t')
promote('r')
claim()
close()
return report(table.concat(lost, ' ') .. '|' .. table.concat(failed, ','))
