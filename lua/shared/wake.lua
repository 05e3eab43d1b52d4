-- wake: the marker idle workers block on, at most one a lane.
local function mark(wake)
  if call('LLEN', wake) == 0 then call('LPUSH', wake, '1') end
end
