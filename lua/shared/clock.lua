-- clock: the time of this call, Redis's, read once.
local stamp = call('TIME')
local micros = tonumber(stamp[1]) * 1000000 + tonumber(stamp[2])
local now = math.floor(micros / 1000)
