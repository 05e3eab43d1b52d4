-- overdue: a job comes back that was held when its deadline passed, and lost its entry then. It gets one that is long
-- past, so that the next look at the deadlines ends it: there is no retry after the deadline, however it comes back.
-- needs: deadlines
local function overdue(id, head)
  if string.sub(head, 6, 6) == 'd' then call('ZADD', deadlines, 'NX', '0', id) end
end
