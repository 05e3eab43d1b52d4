-- common: what every script begins with: one clock, strings only into redis.call.
local call = redis.call
local unpack = unpack or table.unpack
local stamp = call('TIME')
local micros = tonumber(stamp[1]) * 1000000 + tonumber(stamp[2])
local now = math.floor(micros / 1000)
local function num(n) return string.format('%.0f', n) end
