-- same: whether what is stored under an id, a job or an outcome, is of the same contents as a record.
-- needs: jobs, outcomes
local function same(id, record)
  local old = call('HGET', jobs, id)
  -- An id that Spool has drawn bears no digest: whoever has it has the same Partial, though the job was edited since.
  if old then return digest(old) == digest(record) end
  local outcome = call('HGET', outcomes, id)
  local own = outcome and string.sub(outcome, 3, 3) == 'o' and string.sub(outcome, 30, 45) or ''
  return own == digest(record)
end
