import { type Script, script } from '../scripts.js'

/**
 * KEYS: members (a hash: member → when it was heard of), ordinals, says (a hash: member → what it says of itself). ARGV:
 * `join`, `beat`, `leave` or `look`; milliseconds to be added to the server's clock; the member; what it says. Reply: the
 * time, the ordinal, who was heard of in the last 2 s, and of each in the last minute its name, age and words.
 */
export const ON_MEMBERS: Script = script(`
local clock = redis.call('TIME')
local time = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[2])
local ordinal = 0
if ARGV[1] == 'join' then ordinal = redis.call('INCR', KEYS[2]) end
if ARGV[1] == 'join' or ARGV[1] == 'beat' then redis.call('HSET', KEYS[1], ARGV[3], string.format('%.0f', time)) end
if ARGV[1] == 'beat' then redis.call('HSET', KEYS[3], ARGV[3], ARGV[4]) end
local function forget(member)
  redis.call('HDEL', KEYS[1], member)
  redis.call('HDEL', KEYS[3], member)
end
if ARGV[1] == 'leave' then forget(ARGV[3]) end
local alive, known, all = {}, {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local age = math.abs(time - tonumber(all[i + 1]))
  if age < 2000 then alive[#alive + 1] = all[i] elseif age > 600000 then forget(all[i]) end
  if ARGV[1] == 'look' and age < 60000 then
    local says = redis.call('HGET', KEYS[3], all[i])
    if says then
      for _, each in ipairs({ all[i], string.format('%.0f', age), says }) do known[#known + 1] = each end
    end
  end
end
return { string.format('%.0f', time), ordinal, alive, known }
`)
