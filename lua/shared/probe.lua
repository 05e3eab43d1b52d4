-- probe: every key that may be written is read first: one of a wrong type fails here, while nothing has changed.
-- needs: jobs, history, checkpoints, active, leaving, ready, due, suspect, parked, kinds, deadlines, outcomes, done,
--        watched, quarantine, faults, wake, meta, edges, waiting, adopting, callbacks, outbox, outgoing
local function probe()
  call('HLEN', jobs); call('ZCARD', active)
  counters(meta, 'order', 'front', 'posts', 'succeeded', 'failed', 'cancelled', 'expired', 'aborted', 'interrupted')
  for _, lane in ipairs({ 't', 'r' }) do
    call('ZCARD', ready[lane]); call('ZCARD', due[lane]); call('LLEN', wake[lane])
  end
  if call('EXISTS', suspect.t, suspect.r, parked, kinds, deadlines, outcomes, done, watched, quarantine, faults, checkpoints, leaving, history,
    edges, waiting, adopting, callbacks, outbox, outgoing) > 0 then
    call('ZCARD', suspect.t); call('ZCARD', suspect.r); call('ZCARD', parked); call('ZCARD', kinds); call('ZCARD', deadlines)
    call('HLEN', outcomes); call('ZCARD', done); call('HLEN', watched); call('ZCARD', quarantine); call('HLEN', faults)
    call('HLEN', checkpoints); call('ZCARD', leaving); call('HLEN', history); call('HLEN', edges); call('ZCARD', waiting)
    call('ZCARD', adopting); call('ZCARD', callbacks); call('HLEN', outbox); call('ZCARD', outgoing)
  end
end
-- shine sets the markers of lanes that work has come to. An engine's own calls do without: their claims see the work.
local function shine()
  for lane in pairs(links and links.lit or {}) do mark(wake[lane]) end
end
