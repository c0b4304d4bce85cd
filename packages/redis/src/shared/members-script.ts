import { type Script, script } from '../scripts.js'

/**
 * KEYS: members (a hash: member → when it was heard of), ordinals. ARGV: `join`, `beat` or `leave`; milliseconds to be
 * added to the server's clock; the member. Reply: the time, the ordinal, and who was heard of in the last 2 s.
 */
export const ON_MEMBERS: Script = script(`
local clock = redis.call('TIME')
local time = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[2])
local ordinal = 0
if ARGV[1] == 'join' then ordinal = redis.call('INCR', KEYS[2]) end
if ARGV[1] == 'join' or ARGV[1] == 'beat' then redis.call('HSET', KEYS[1], ARGV[3], string.format('%.0f', time)) end
if ARGV[1] == 'leave' then redis.call('HDEL', KEYS[1], ARGV[3]) end
local alive, all = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local age = math.abs(time - tonumber(all[i + 1]))
  if age < 2000 then alive[#alive + 1] = all[i] elseif age > 600000 then redis.call('HDEL', KEYS[1], all[i]) end
end
return { string.format('%.0f', time), ordinal, alive }
`)
