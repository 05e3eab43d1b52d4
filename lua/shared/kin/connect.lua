-- connect: a job follows another one, which has ended or has not. Its node counts the edge already, as one that has not
-- arrived. It returns false if nothing is stored of the parent.
local function connect(parent, child, condition, class, place)
  if condition ~= 'h' then
    local n = whole(child)
    n.loose = 1
    change(child, n)
  end
  local text = condition .. class .. place .. ' ' .. child
  if call('HEXISTS', jobs, parent) == 1 then
    local n, k = node(parent), '1'
    if not n then
      change(parent, { only = text })
    else
      n = whole(parent)
      n.followers = n.followers + 1
      k = num(n.followers)
      change(parent, n)
      write(parent .. '/>' .. k, text)
    end
    if condition ~= 'h' then write(child .. '/<' .. place, '-' .. condition .. class .. k .. ' ' .. parent) end
    return true
  end
  local outcome = call('HGET', outcomes, parent)
  if not outcome then return false end
  if arrive(parent, outcome, text) then
    local n = call('ZSCORE', callbacks, parent) and node(parent)
    if n then
      n.open = n.open + 1
      change(parent, n)
    else
      -- Its outcome has a time to go: who comes now has a copy.
      write(child .. '/<' .. place, copy(parent, outcome, condition, class))
    end
  end
  return true
end
-- A parent of which nothing is stored has failed; so has one whose id bears another job.
local function absent(parent, child, condition, class, place, taken)
  local outcome = taken and nothing('spool.id-taken', 'the id is taken by another job') or nothing('spool.unknown', 'nothing is stored under this id')
  local n = whole(child)
  n.loose = 1
  change(child, n)
  if arrive(parent, outcome, condition .. class .. place .. ' ' .. child) then
    write(child .. '/<' .. place, copy(parent, outcome, condition, class))
  end
end
