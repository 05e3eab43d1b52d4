-- sentinel: one long member at the far end keeps a sorted set a skiplist, however few jobs it holds. A set of up to
-- 128 short members would be a listpack, in which each addition and removal scans.
local function grow(set, size)
  if size == 0 then call('ZADD', set, '+inf', '~~~~~~~~~~~~~~~~ keeps this set a skiplist, is not a job ~~~~~~~~~~~~~~~~') end
end
