-- kin: what jobs have to do with each other. The functions are made when a call first needs them: most calls never do, and
-- to make so many costs as much as running ten jobs.
-- needs: jobs, history, active, leaving, ready, due, deadlines, outcomes, done, meta, edges, waiting, adopting, callbacks,
--        outbox, outgoing
local links
local function kin()
  if links then return links end
  -- include: edges follow connect
  links = { look = look, write = write, ahead = ahead, fresh = fresh, blank = blank, node = node, change = change, whole = whole, edge = edge, sent = sent,
    flush = flush, crowd = crowd, store = store, fall = fall, landed = landed, send = send, shown = shown, nothing = nothing, keeping = keeping, inherit = inherit,
    begin = begin, release = release, await = await, awaits = awaits, halt = halt, oust = oust, toil = toil, retire = retire, bequeath = bequeath,
    connect = connect, absent = absent, graves = graves, bury = bury, cancelled = cancelled, unfinish = unfinish, spent = spent, lit = lit, left = left }
  return links
end
-- What a call leaves for others to do: 'r' resume, 'p' the post.
local function errands() return links and links.left() or '' end
