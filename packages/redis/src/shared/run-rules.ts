// The rules of RunRules, in core's guard/fleet/run-rules.ts, on the server: what is said there of why holds here. A test
// compares the two, whatever members do.

/** Lua. Before it: KEYS and ARGV of `run-script.ts`. After it: `time`, `s` (the state of a run) and what may be done with it. */
export const RULES = `
local RUN, DELTAS, TICKS, PARTS, ROWS, RELEASES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local EXPIRY, FORGOTTEN, MOST_TICKS, NEVER, KEPT_SECONDS = 10000, 600000, 1000, -1e14, 7 * 86400
local clock = redis.call('TIME')
local time = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[2])
local s = cjson.decode(redis.call('HGET', RUN, 'state') or '{"ordinals":0,"stages":[],"stage":0,"closed":-1,'
  .. '"closedAt":-1e14,"trimmed":-1,"arrivals":[],"checkpoint":-1,"passed":0,"requests":0,"unscored":0,"late":0,'
  .. '"totals":{"A":{"n":0,"k":0},"B":{"n":0,"k":0}}}')
s.passed = s.passed + math.max(0, time - (s.seen or time))
s.seen = time
local now = s.passed

-- Members are read when they are needed: one that publishes needs but itself.
local members, texts, has_all = {}, {}, false
local function member_of(name)
  if members[name] == nil and not has_all then
    local text = redis.call('HGET', PARTS, name)
    if text then
      texts[name] = text
      members[name] = cjson.decode(text)
    end
  end
  return members[name]
end
local function all_members()
  if not has_all then
    has_all = true
    local all = redis.call('HGETALL', PARTS)
    for i = 1, #all, 2 do
      if members[all[i]] == nil then
        texts[all[i]] = all[i + 1]
        members[all[i]] = cjson.decode(all[i + 1])
      end
    end
  end
  return members
end
local function keep_members()
  for name, text in pairs(texts) do
    if members[name] == nil then redis.call('HDEL', PARTS, name) end
  end
  for name, member in pairs(members) do
    local text = cjson.encode(member)
    if text ~= texts[name] then redis.call('HSET', PARTS, name, text) end
  end
end

local function whole(number) return string.format('%.0f', number) end

local function answer(kind, member, reason)
  return { kind, member and member.ordinal or 0, whole(s.closed), reason or false }
end

local function of_stage(taking_part)
  local found = {}
  for _, member in pairs(all_members()) do
    if member.hash == s.hash and (member.takesPart or not taking_part) then found[#found + 1] = member end
  end
  return found
end

local function begin(hash, why)
  s.hash = hash
  -- A stage of which nothing was scored has spent nothing of alpha.
  if s.scored or s.stage == 0 then
    s.stage = s.stage + 1
  else
    local left = {}
    for _, stage in ipairs(s.stages) do
      if stage.stage ~= s.stage then left[#left + 1] = stage end
    end
    s.stages = left
  end
  s.scored = false
  s.stages[#s.stages + 1] = { kind = 'stage', stage = s.stage, tick = s.closed + 1, hash = hash, why = why }
end

local function forget_arrivals()
  local left = {}
  for _, arrival in ipairs(s.arrivals) do
    if arrival.through > s.closed then left[#left + 1] = arrival end
  end
  s.arrivals = left
end

local function remove(field)
  redis.call('HDEL', DELTAS, field)
  redis.call('ZREM', TICKS, field)
end

local function skip_past(members)
  local tick = s.closed
  for _, member in ipairs(members) do tick = math.max(tick, member.through) end
  for _, field in ipairs(redis.call('ZRANGEBYSCORE', TICKS, '(' .. whole(s.closed), whole(tick))) do
    s.unscored = s.unscored + tonumber(string.match(redis.call('HGET', DELTAS, field), '^%d+'))
    remove(field)
  end
  s.closed = tick
  s.closedAt = now
  forget_arrivals()
end

local function lose(members)
  for _, member in ipairs(members) do member.takesPart = false end
  skip_past(of_stage(false))
  if s.hash then begin(s.hash, 'lost') end
end

local function give_way()
  local waiting, first = {}, nil
  for _, member in pairs(all_members()) do
    if now - member.seenAt < EXPIRY then
      if member.hash == s.hash then return false end
      if member.takesPart then
        waiting[#waiting + 1] = member
        if not first or member.ordinal < first.ordinal then first = member end
      end
    end
  end
  if not first then return false end
  for _, member in ipairs(of_stage(true)) do member.takesPart = false end
  local members = of_stage(false)
  for _, member in ipairs(waiting) do
    if member.hash == first.hash then members[#members + 1] = member end
  end
  skip_past(members)
  begin(first.hash, 'options')
  return true
end

local function close_one()
  local taking = of_stage(true)
  local least = nil
  if #taking > 0 then
    for _, member in ipairs(taking) do least = math.min(least or member.through, member.through) end
  else
    least = s.closed
    for _, member in ipairs(of_stage(false)) do least = math.max(least, member.through) end
  end
  if least > s.closed then
    if redis.call('ZCOUNT', TICKS, '(' .. whole(s.closed), whole(least)) > 0 then s.scored = true end
    s.closed = least
    s.closedAt = now
    forget_arrivals()
    return true
  end
  local silent = true
  for _, member in ipairs(taking) do silent = silent and now - member.seenAt >= EXPIRY end
  if silent and give_way() then return true end
  local first = s.arrivals[1]
  if not first or now - math.max(first.at, s.closedAt) < EXPIRY then return false end
  local behind = {}
  for _, member in ipairs(taking) do
    if member.through <= s.closed then behind[#behind + 1] = member end
  end
  lose(behind)
  return true
end

local function all_counts(delta)
  local all = {}
  for _, cell in ipairs(delta.cells) do
    all[#all + 1] = { share = string.format('%.14g', cell.share[1] / cell.share[2]), decided = cell.decided, failures = cell.failures }
  end
  if delta.chosen then all[#all + 1] = { share = '-1', decided = delta.chosen.decided, failures = delta.chosen.failures } end
  return all
end

local function requests_in(counts)
  local sum = 0
  for _, each in ipairs(counts) do sum = sum + each.decided[1] + each.decided[2] end
  return sum
end

local function count(counts)
  for _, each in ipairs(counts) do
    s.requests = s.requests + each.decided[1] + each.decided[2]
    s.totals.A.n = s.totals.A.n + each.decided[1]
    s.totals.B.n = s.totals.B.n + each.decided[2]
    for _, failure in ipairs(each.failures) do
      s.totals.A.k = s.totals.A.k + failure[2]
      s.totals.B.k = s.totals.B.k + failure[3]
    end
  end
end

-- What a member has decided under each share and not yet reported as failed: more cannot fail.
local function balance(member, counts)
  local after = {}
  for _, each in ipairs(counts) do
    local left = member.left[each.share] or { 0, 0 }
    local A, B = left[1] + each.decided[1], left[2] + each.decided[2]
    for _, failure in ipairs(each.failures) do A, B = A - failure[2], B - failure[3] end
    if A < 0 or B < 0 then return 'failures must not be more than the requests decided' end
    after[each.share] = { A, B }
  end
  for share, left in pairs(after) do member.left[share] = left end
  return nil
end

local function refuse(member, reason)
  if not member then return answer('refused', nil, reason) end
  if member.takesPart and member.hash == s.hash then lose({ member }) end
  member.takesPart = false
  return answer('refused', member, reason)
end

local function enter(delta, known)
  if delta.through < s.closed then return answer('late', known) end
  if known and known.takesPart and known.hash == delta.hash and delta.through == known.through then
    return answer('known', known)
  end
  if known and known.takesPart and known.hash == s.hash then lose({ known }) end
  local ordinal = known and known.ordinal
  if not ordinal then
    s.ordinals = s.ordinals + 1
    ordinal = s.ordinals
  end
  local member = { ordinal = ordinal, hash = delta.hash, through = delta.through, takesPart = true, seenAt = now, left = {} }
  all_members()[delta.member] = member
  for name, each in pairs(members) do
    if not each.takesPart and now - each.seenAt > FORGOTTEN then members[name] = nil end
  end
  if not s.hash then
    s.closed = delta.through
    begin(delta.hash, 'start')
  end
  return answer(member.hash == s.hash and 'taken' or 'waiting', member)
end

local function late(counts, member)
  local requests = requests_in(counts)
  s.unscored = s.unscored + requests
  s.late = s.late + requests
  return answer('late', member)
end

local function publish(delta, text)
  local member = member_of(delta.member)
  if delta.enters then return enter(delta, member) end
  local counts = all_counts(delta)
  if not member then
    count(counts)
    return late(counts, nil)
  end
  member.seenAt = now
  if delta.through <= member.through then return answer('known', member) end
  if delta.tick <= member.through or delta.through > member.through + MOST_TICKS then
    return refuse(member, 'ticks must follow on ' .. whole(member.through) .. ', got ' .. whole(delta.tick) .. ' to ' .. whole(delta.through))
  end
  local wrong = balance(member, counts)
  if wrong then return refuse(member, wrong) end
  count(counts)
  local requests = requests_in(counts)
  local kind = 'taken'
  if not member.takesPart then
    kind = 'late'
    s.late = s.late + requests
    s.unscored = s.unscored + requests
  elseif member.hash ~= s.hash then
    kind = 'waiting'
    s.unscored = s.unscored + requests
  elseif delta.tick <= s.closed then
    s.unscored = s.unscored + requests
  elseif #counts > 0 then
    local field = whole(delta.tick) .. ':' .. whole(member.ordinal)
    redis.call('HSET', DELTAS, field, whole(requests) .. ' ' .. text)
    redis.call('ZADD', TICKS, whole(delta.tick), field)
  end
  member.through = delta.through
  if delta.leaves then
    member.takesPart = false
  elseif kind == 'taken' then
    local last = s.arrivals[#s.arrivals]
    if delta.through > math.max(s.closed, last and last.through or -1) then
      s.arrivals[#s.arrivals + 1] = { through = delta.through, at = now }
    end
  end
  return answer(kind, member)
end
`
