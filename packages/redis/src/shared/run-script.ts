import { type Script, script } from '../scripts.js'
import { RULES } from './run-rules.js'

/**
 * One call on a run.
 *
 * KEYS: the run (a hash: state, verdict, checkpoint, identities), its deltas (a hash: tick:ordinal → requests, delta), its
 * ticks (a sorted set of those), its members (a hash: member → part in the run), rows, releases (a hash: release → run).
 * ARGV: what is to be done, milliseconds to be added to the server's clock (0, but in tests), and what that needs.
 * Reply: the server's time, and the answer.
 */
export const ON_RUN: Script = script(`
${RULES}
-- A release that has begun another run says so in its row.
local function is_over(delta)
  local row = redis.call('HGET', ROWS, 'plugins/' .. delta.release)
  if not row then return false end
  local release = cjson.decode(string.match(row, '^%d+ (.+)$')).release
  return type(release) == 'table' and type(release.run) == 'string' and release.run ~= delta.run
end

local function page(after)
  while close_one() do end
  local from = math.max(after, s.trimmed)
  local fields = redis.call('ZRANGEBYSCORE', TICKS, '(' .. whole(from), whole(s.closed))
  local ticks = {}
  for _, field in ipairs(fields) do ticks[#ticks + 1] = { field, redis.call('HGET', DELTAS, field) } end
  local stages = {}
  for _, stage in ipairs(s.stages) do
    if stage.tick > from then stages[#stages + 1] = cjson.encode(stage) end
  end
  local checkpoint = after < s.trimmed and redis.call('HMGET', RUN, 'checkpoint', 'identities') or { false, false }
  return { whole(s.closed), ticks, stages, checkpoint[1], checkpoint[2], redis.call('HGET', RUN, 'verdict'), whole(s.requests), whole(s.unscored) }
end

local function checkpoint(tick, state, identities)
  if tick > s.closed or tick <= s.checkpoint then return 0 end
  s.checkpoint = tick
  s.trimmed = tick
  redis.call('HSET', RUN, 'checkpoint', whole(tick) .. ' ' .. state)
  if identities ~= '' then redis.call('HSET', RUN, 'identities', identities) end
  for _, field in ipairs(redis.call('ZRANGEBYSCORE', TICKS, '-inf', whole(tick))) do remove(field) end
  local left = {}
  for _, stage in ipairs(s.stages) do
    if stage.tick > tick then left[#left + 1] = stage end
  end
  s.stages = left
  return 1
end

local done
if ARGV[1] == 'publish' then
  local delta = cjson.decode(ARGV[3])
  if is_over(delta) then return { whole(time), { 'stale-run', 0, '-1', false } } end
  redis.call('HSET', RELEASES, delta.release, delta.run)
  done = publish(delta, ARGV[3])
elseif ARGV[1] == 'refuse' then
  redis.call('HSET', RELEASES, ARGV[5], ARGV[6])
  done = refuse(member_of(ARGV[3]), ARGV[4])
elseif ARGV[1] == 'close' then
  done = page(tonumber(ARGV[3]))
elseif ARGV[1] == 'conclude' then
  done = redis.call('HSETNX', RUN, 'verdict', ARGV[3]) == 1 and 'first' or redis.call('HGET', RUN, 'verdict')
else
  done = checkpoint(tonumber(ARGV[3]), ARGV[4], ARGV[5])
end
redis.call('HSET', RUN, 'state', cjson.encode(s))
keep_members()
for i = 1, 4 do redis.call('EXPIRE', KEYS[i], KEPT_SECONDS) end
return { whole(time), done }
`)
