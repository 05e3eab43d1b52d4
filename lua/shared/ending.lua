-- ending: how the outcome of a job begins, its end still to be filled in (docs/wire.md):
--   1 format '1'   2 kind 's' 'f' 'c' 'e' 'a'   3 'o' own id   4-9 attempts   10-13 interruptions   14-26 end in ms
--   27-29 length of the task's name   30-45 digest, only with 'o'; then the task's name, then msgpack
local function ending(kind, record, past)
  local own = digest(record)
  return '1' .. kind .. (own ~= '' and 'o' or '-') .. (dated(past) and string.sub(past, 1, 10) or '0000000000')
    .. '0000000000000' .. string.sub(record, 12, 14) .. own .. task(record)
end
local tallied = { s = 'succeeded', f = 'failed', c = 'cancelled', e = 'expired', a = 'aborted' }
