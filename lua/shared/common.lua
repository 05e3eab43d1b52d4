-- common: what every script begins with: strings only into redis.call.
local call = redis.call
local unpack = unpack or table.unpack
local function num(n) return string.format('%.0f', n) end
