-- withdraw: take a pending job out of whichever set it waits in. It returns the set and the score, or nothing.
-- needs: ready, due, suspect, parked, kinds, waiting
local function withdraw(id, record)
  for _, lane in ipairs({ 't', 'r' }) do
    for _, set in ipairs({ ready[lane], due[lane], suspect[lane] }) do
      local score = call('ZSCORE', set, id)
      if score then
        call('ZREM', set, id)
        return set, score
      end
    end
  end
  local score = call('ZSCORE', waiting, id)
  if score then
    call('ZREM', waiting, id)
    return waiting, score
  end
  score = call('ZSCORE', parked, id)
  if score then
    call('ZREM', parked, id)
    if sound(record) then call('ZREM', kinds, string.sub(record, 2, 2) .. '/' .. task(record) .. '/' .. id) end
    return parked, score
  end
end
