-- isolate: one broken job is set aside, counted and visible; everything else goes on.
-- needs: quarantine, faults, deadlines
local function isolate(id, why)
  call('ZADD', quarantine, num(now), id)
  call('HSET', faults, id, why)
  call('ZREM', deadlines, id)
end
