import { createHash } from 'node:crypto'

/** Of the stored data. A store that finds another one leaves everything as it is. */
export const FORMAT = '1'

/** How many bytes of commits the log keeps: who is further behind loads anew. */
const LOG_BYTES = 8 * 1024 * 1024
/** How many versions back a forked history is told. */
const IDS = 100_000

export interface Script {
  readonly source: string
  readonly sha: string
}

export function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}

// Every script begins with the head. Nothing is written before all keys were seen to be of the right type: a script of
// Redis that fails half-way leaves what it wrote.
const HEAD = `
local HEAD, ROWS, LOG, AUDIT, IDS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local function text(number) return string.format('%.0f', number) end
local function entry_id(version) return text(version) .. '-0' end
local TYPES = { [HEAD] = 'hash', [ROWS] = 'hash', [LOG] = 'stream', [AUDIT] = 'stream', [IDS] = 'stream' }
for key, expected in pairs(TYPES) do
  local found = redis.call('TYPE', key).ok
  if found ~= expected and found ~= 'none' then return redis.error_reply('CANARYFOREIGN ' .. key) end
end
local head = redis.call('HMGET', HEAD, 'format', 'epoch', 'version', 'id', 'bytes')
local epoch, version, id, bytes = head[2] or '', tonumber(head[3] or '0'), head[4] or '', tonumber(head[5] or '0')
if not head[1] then
  if redis.call('EXISTS', unpack(KEYS)) > 0 then return redis.error_reply('CANARYDAMAGED there is no head') end
elseif head[1] ~= '${FORMAT}' then
  return redis.error_reply('CANARYFORMAT ' .. head[1])
elseif epoch == '' or not version or not bytes or (version > 0) ~= (id ~= '') then
  return redis.error_reply('CANARYDAMAGED the head is not whole')
end
local function id_at(at)
  if at == 0 then return '' end
  if at == version then return id end
  local found = redis.call('XRANGE', IDS, entry_id(at), entry_id(at))
  return found[1] and found[1][2][2] or false
end
`

/**
 * Where the stored history stands, and the id of the commit at one of its versions.
 *
 * ARGV: a version. Reply: epoch, version, id, the id at the version or nil. The epoch is '' where nothing is stored.
 */
export const POSITION = script(`${HEAD}
local at = tonumber(ARGV[1])
return { epoch, text(version), id, at <= version and id_at(at) or false }
`)

/**
 * Commits a proposal, if no commit after its base wrote what it read.
 *
 * ARGV: new epoch, id; base: epoch, version, id; reads and writes, a key a line; changes, audit; 1 where the log only
 * says that all must be loaded anew; 1 where a commit that is found again is to be waited for; version and id up to which the
 * caller knows what came after its base; then pairs: row, text ('': none).
 * Reply: 'saved', epoch, version, id, entries missed, 1 where only those are left out that the caller knows |
 * 'conflict', entries missed or nil, the same | 'rewound', epoch, version, id.
 */
export const SAVE = script(`${HEAD}
local new_epoch, own = ARGV[1], ARGV[2]
local base_epoch, base, base_id = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local reads, writes, changes, audit, anew, waited = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local known, known_id = tonumber(ARGV[12]), ARGV[13]

if base_epoch ~= '' then
  local there = base_epoch == epoch and base <= version and id_at(base)
  -- Further back than the ids reach nobody knows: such a base is behind in any case.
  if base_epoch ~= epoch or base > version or (there and there ~= base_id) then
    return { 'rewound', epoch, text(version), id }
  end
end

local is_known = known > base and known <= version and id_at(known) == known_id
local read = {}
for key in string.gmatch(reads, '[^\\n]+') do read[key] = true end
local missed, whole, touched = {}, true, read['"*"'] and version > base
local next = base + 1
while next <= version do
  local page = redis.call('XRANGE', LOG, entry_id(next), '+', 'COUNT', 100)
  if not page[1] or page[1][1] ~= entry_id(next) then whole = false break end
  for _, entry in ipairs(page) do
    local fields = {}
    for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
    if fields.id == own then
      if waited == '1' then redis.call('HSET', HEAD, 'format', '${FORMAT}') end
      return { 'saved', epoch, text(next), own, whole and missed or {}, whole and is_known and 1 or 0 }
    end
    if fields.writes then
      for key in string.gmatch(fields.writes, '[^\\n]+') do touched = touched or read[key] end
      if not is_known or next > known then missed[#missed + 1] = entry end
    else
      whole = false
    end
    next = next + 1
  end
end
if not whole then
  while next <= version do
    local page = redis.call('XRANGE', IDS, entry_id(next), '+', 'COUNT', 1000)
    if not page[1] then break end
    for _, entry in ipairs(page) do
      local at = tonumber(string.match(entry[1], '^%d+'))
      if entry[2][2] == own then
        if waited == '1' then redis.call('HSET', HEAD, 'format', '${FORMAT}') end
        return { 'saved', epoch, text(at), own, {}, 0 }
      end
      next = at + 1
    end
  end
  return { 'conflict', false }
end
if base_epoch == '' and version > 0 then return { 'conflict', false } end
if touched then return { 'conflict', missed, is_known and 1 or 0 } end

local at = version + 1
if epoch == '' then epoch = new_epoch end
local function sizeof(fields)
  local size = 0
  for _, field in ipairs(fields) do size = size + #field end
  return size
end
local fields = anew == '1' and { 'id', own, 'prev', id, 'anew', '1' }
  or { 'id', own, 'prev', id, 'writes', writes, 'changes', changes, 'audit', audit }
redis.call('XADD', LOG, entry_id(at), unpack(fields))
redis.call('XADD', IDS, 'MAXLEN', '~', '${IDS}', entry_id(at), 'id', own)
redis.call('XADD', AUDIT, 'MAXLEN', '=', '1000', entry_id(at), 'entry', audit)
local puts, dels = {}, {}
local function flush(least)
  if #puts > least then redis.call('HSET', ROWS, unpack(puts)) puts = {} end
  if #dels > least then redis.call('HDEL', ROWS, unpack(dels)) dels = {} end
end
for i = 14, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    dels[#dels + 1] = ARGV[i]
  else
    puts[#puts + 1] = ARGV[i]
    puts[#puts + 1] = text(at) .. ' ' .. ARGV[i + 1]
  end
  flush(1000)
end
flush(0)
bytes = bytes + sizeof(fields)
while bytes > ${LOG_BYTES} do
  local first = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
  local number = tonumber(string.match(first[1], '^%d+'))
  if number == at then break end
  bytes = bytes - sizeof(first[2])
  redis.call('XTRIM', LOG, 'MINID', '=', entry_id(number + 1))
end
redis.call('HSET', HEAD, 'format', '${FORMAT}', 'epoch', epoch, 'version', text(at), 'id', own, 'bytes', text(bytes))
return { 'saved', epoch, text(at), own, missed, is_known and 1 or 0 }
`)

/**
 * Which of the commands that the store needs the user may not run, where the server can tell (Redis 7, Valkey).
 */
export const RIGHTS = script(`
local HEAD, ROWS, LOG, AUDIT, IDS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if not redis.acl_check_cmd then return {} end
local needed = {
  { 'TYPE', HEAD }, { 'EXISTS', HEAD }, { 'HMGET', HEAD, 'format' }, { 'HSET', HEAD, 'format', '1' }, { 'HDEL', ROWS, 'x' },
  { 'HSCAN', ROWS, '0' }, { 'XADD', LOG, '1-0', 'id', 'x' }, { 'XTRIM', LOG, 'MINID', '=', '1' }, { 'XRANGE', LOG, '-', '+' },
  { 'XREVRANGE', AUDIT, '+', '-' }, { 'XREAD', 'BLOCK', '1', 'STREAMS', LOG, '0' }, { 'XADD', IDS, '1-0', 'id', 'x' },
  { 'TIME' }, { 'INCR', HEAD }, { 'HGET', HEAD, 'x' }, { 'HGETALL', HEAD }, { 'HSETNX', HEAD, 'x', 'x' }, { 'ZADD', HEAD, '1', 'x' },
  { 'ZREM', HEAD, 'x' }, { 'ZRANGEBYSCORE', HEAD, '0', '1' }, { 'EXPIRE', HEAD, '1' }, { 'ZCOUNT', HEAD, '0', '1' },
}
if ARGV[1] == '1' then needed[#needed + 1] = { 'WAIT', '1', '1' } end
local refused = {}
for _, command in ipairs(needed) do
  if not redis.acl_check_cmd(unpack(command)) then refused[#refused + 1] = command[1] end
end
return refused
`)
