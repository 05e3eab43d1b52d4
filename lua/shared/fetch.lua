-- fetch: reads the records of ids in growing slices and stops when `left` bytes are passed. It returns the records
-- that fit, at least one, in order (false where there is none), and their size. What it reads in vain is at most
-- four times the number that fitted.
local function fetch(jobs, ids, left)
  local records, spent, at, slice = {}, 0, 0, 1
  while at < #ids do
    local stop = math.min(at + slice, #ids)
    local got = call('HMGET', jobs, unpack(ids, at + 1, stop))
    for i = 1, stop - at do
      local size = got[i] and #got[i] or 0
      if spent + size > left and at + i > 1 then return records, spent end
      spent = spent + size
      records[at + i] = got[i]
    end
    at = stop
    slice = math.min(slice * 4, 128)
  end
  return records, spent
end
