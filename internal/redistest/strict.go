package redistest

// StrictLua goes in front of a script in tests. It makes the script fail where strict servers would: on a key that
// was not declared, and on an argument that is not a string. redis can be shadowed by a local on every server.
const StrictLua = `
local declared = {}
for _, key in ipairs(KEYS) do declared[key] = true end
local free = { TIME = true, PUBLISH = true }
local plain = redis
local redis = setmetatable({ call = function(name, key, ...)
  name = string.upper(name)
  if not free[name] and not declared[key] then error('undeclared key ' .. tostring(key) .. ' in ' .. name) end
  for i = 1, select('#', ...) do
    if type((select(i, ...))) ~= 'string' then error('an argument of ' .. name .. ' is a ' .. type((select(i, ...)))) end
  end
  if key == nil then return plain.call(name) end
  return plain.call(name, key, ...)
end }, { __index = redis })
`
