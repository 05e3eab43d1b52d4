-- moment: a time as arguments say it, '+ms' from a base or '@ms'.
local function moment(text, base)
  local ms = tonumber(string.sub(text, 2))
  return string.sub(text, 1, 1) == '+' and base + ms or ms
end
