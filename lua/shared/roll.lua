-- roll: what a call of an engine begins with. present returns nothing if the engine is registered and the call new,
-- else the reply to give. inspect reads every key that may be written: one of a wrong type fails here, before any job
-- has left its set. heave makes the sets that jobs enter skiplists.
-- needs: the keys of advance, engine, number
local lanes = { 't', 'r' }
local size = { ready = {}, due = {} }
local pasts, kept = 0, nil
local function present()
  if not call('ZSCORE', engines, engine) then return { 'gone', num(now) } end
  local last, answer = string.match(call('HGET', calls, engine) or '0 ', '^(%d+) (.*)$')
  if tonumber(last) == number then return { 'again', num(now), answer } end
  if tonumber(last) > number then return { 'stale', num(now) } end
  kept = last
end
local function inspect()
  size.active, size.parked, size.deadlines = call('ZCARD', active), 0, 0
  call('HLEN', jobs)
  counters(meta, 'order', 'front', 'fence', 'succeeded', 'failed', 'cancelled', 'expired', 'aborted', 'retried', 'lost', 'posts')
  for _, lane in ipairs(lanes) do
    size.ready[lane], size.due[lane] = call('ZCARD', ready[lane]), call('ZCARD', due[lane])
    call('LLEN', wake[lane])
  end
  -- What is not there has no wrong type. Of a queue of plain jobs none of these is: one question stands for all.
  if call('EXISTS', parked, kinds, deadlines, outcomes, done, watched, quarantine, faults, checkpoints, leaving, history, suspect.t, suspect.r,
    edges, waiting, adopting, callbacks, outbox, outgoing) > 0 then
    size.parked, size.deadlines, pasts = call('ZCARD', parked), call('ZCARD', deadlines), call('HLEN', history)
    call('HLEN', outcomes); call('ZCARD', done); call('HLEN', watched); call('ZCARD', kinds); call('ZCARD', quarantine)
    call('HLEN', faults); call('HLEN', checkpoints); call('ZCARD', leaving); call('ZCARD', suspect.t); call('ZCARD', suspect.r)
    call('HLEN', edges); call('ZCARD', waiting); call('ZCARD', adopting); call('ZCARD', callbacks); call('HLEN', outbox); call('ZCARD', outgoing)
  end
end
local function heave()
  grow(active, size.active)
  for _, lane in ipairs(lanes) do
    grow(ready[lane], size.ready[lane])
    grow(due[lane], size.due[lane])
  end
end
